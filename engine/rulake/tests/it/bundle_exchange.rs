//! Bundles travel: what the published `ruvector-rulake` 2.3.0 writes is read here, and ours there.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use published::{Generation as TheirGeneration, RuLakeBundle as TheirBundle};
use ruvector_rulake::bundle::FILE_NAME;
use ruvector_rulake::{Bundle, ErrorKind, Generation};
use serde_json::{Value, json};

/// The size above which both refuse a file.
const JSON_BYTES_MAX: usize = 64 * 1024;
const FIELD_BYTES_MAX: usize = 4 * 1024;

/// A generator of test data: splitmix64, whose every seed is a good one.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// A number of any magnitude: half of all uniform ones have the highest bit.
    fn number(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 16] = [
            "gs://bucket/",
            "x",
            "table",
            "/",
            "@7",
            "|",
            "\"",
            "\\",
            "\n",
            "\0",
            "\u{7f}",
            " ",
            "Zürich",
            "文書",
            "🦀",
            "e\u{301}\u{202e}",
        ];
        (0..self.below(12)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn maybe_text(&mut self) -> Option<String> {
        (self.below(2) == 0).then(|| self.text())
    }
}

/// The same bundle, made by both.
fn both(random: &mut Random) -> (Bundle, TheirBundle) {
    let (data_ref, dim) = (random.text(), usize::try_from(random.number()).unwrap());
    let (seed, rerank_factor) = (random.number(), usize::try_from(random.number()).unwrap());
    let (generation, their_generation) = match random.below(2) {
        0 => {
            let number = random.number();
            (Generation::Number(number), TheirGeneration::Num(number))
        }
        _ => {
            let token = random.text();
            (Generation::Opaque(token.clone()), TheirGeneration::Opaque(token))
        }
    };
    let mut ours = Bundle::new(data_ref.clone(), dim, seed, rerank_factor, generation);
    let mut theirs = TheirBundle::new(data_ref, dim, seed, rerank_factor, their_generation);
    (ours.pii_policy, ours.lineage_id, ours.memory_class) =
        (random.maybe_text(), random.maybe_text(), random.maybe_text());
    (theirs.pii_policy, theirs.lineage_id, theirs.memory_class) =
        (ours.pii_policy.clone(), ours.lineage_id.clone(), ours.memory_class.clone());
    (ours, theirs)
}

#[test]
fn what_one_writes_the_other_reads() {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    let mut random = Random(SEED);
    let folder = tempfile::tempdir().unwrap();
    for i in 0..500 {
        let (ours, theirs) = both(&mut random);
        assert_eq!(ours.witness, theirs.rvf_witness, "bundle {i}: {ours:?}");
        assert_eq!(serde_json::to_string_pretty(&ours).unwrap(), theirs.to_json().unwrap());
        assert_eq!(Bundle::from_json(&theirs.to_json().unwrap()).unwrap(), ours);
        let read = TheirBundle::from_json(&serde_json::to_string(&ours).unwrap()).unwrap();
        assert!(read.verify_witness(), "bundle {i}: {ours:?}");
        assert_eq!(read.to_json().unwrap(), theirs.to_json().unwrap());
        // A few by way of the disk, which is slow to say that it has them.
        if i % 50 == 0 {
            theirs.write_to_dir(folder.path()).unwrap();
            assert_eq!(Bundle::read_from_dir(folder.path()).unwrap(), ours);
            ours.write_to_dir(folder.path()).unwrap();
            assert_eq!(
                TheirBundle::read_from_dir(folder.path()).unwrap().to_json().unwrap(),
                theirs.to_json().unwrap()
            );
        }
    }
}

#[test]
fn numbers_and_texts_at_their_ends() {
    for (data_ref, dim, seed, rerank_factor, generation) in [
        (String::new(), 0, 0, 0, Generation::Number(0)),
        ("x".repeat(FIELD_BYTES_MAX), usize::MAX, u64::MAX, usize::MAX, Generation::Number(u64::MAX)),
        ("文".repeat(FIELD_BYTES_MAX / 3), 1, 1 << 53, 1, Generation::Opaque(String::new())),
        ("s3://b/ä ö?#%20".to_owned(), 3, (1 << 53) + 1, 20, Generation::Opaque("7".to_owned())),
    ] {
        let ours = Bundle::new(data_ref, dim, seed, rerank_factor, generation);
        let json = serde_json::to_string(&ours).unwrap();
        let theirs = TheirBundle::from_json(&json).unwrap();
        assert!(theirs.verify_witness(), "{ours:?}");
        assert_eq!(Bundle::from_json(&theirs.to_json().unwrap()).unwrap(), ours);
    }
}

/// Both answers to a file with that content: the kind of our error and the text of theirs.
fn refused(folder: &Path, content: &[u8]) -> (ErrorKind, String) {
    std::fs::write(folder.join(FILE_NAME), content).unwrap();
    let ours = Bundle::read_from_dir(folder).unwrap_err().kind();
    (ours, TheirBundle::read_from_dir(folder).unwrap_err().to_string())
}

#[test]
fn a_field_that_was_changed_is_noticed_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = |generation| serde_json::to_value(Bundle::new("gs://b/x", 128, 42, 20, generation)).unwrap();
    for bundle in [sealed(Generation::Number(7)), sealed(Generation::Opaque("id@7".to_owned()))] {
        let witness = bundle["rvf_witness"].as_str().unwrap();
        let changes = [
            ("data_ref", json!("gs://b/y")),
            ("data_ref", json!("gs://b/x ")),
            ("data_ref", json!("")),
            ("dim", json!(129)),
            ("rotation_seed", json!(43)),
            ("rerank_factor", json!(21)),
            ("generation", json!(8)),
            ("generation", json!("7")),
            ("generation", json!("id@8")),
            ("generation", json!("\u{7}\0\0\0\0\0\0\0")),
            ("rvf_witness", json!(format!("{}{}", &witness[..63], if witness.ends_with('0') { '1' } else { '0' }))),
            ("rvf_witness", json!(witness.to_uppercase())),
            ("rvf_witness", json!(&witness[..63])),
            ("rvf_witness", json!("")),
        ];
        for (field, value) in changes {
            let mut changed = bundle.clone();
            assert_ne!(changed[field], value);
            changed[field] = value;
            let (ours, theirs) = refused(folder.path(), changed.to_string().as_bytes());
            assert_eq!(ours, ErrorKind::WitnessMismatch, "{changed}");
            assert!(theirs.contains("witness mismatch"), "{changed}: {theirs}");
        }
    }
}

/// The witness is of the bytes of record, not of what is said about them.
#[test]
fn tags_and_unknown_fields_are_not_sealed() {
    let bundle = Bundle::new("gs://b/x", 128, 42, 20, Generation::Number(7));
    let mut value = serde_json::to_value(&bundle).unwrap();
    for field in ["pii_policy", "lineage_id", "memory_class", "field_of_a_later_release"] {
        value[field] = json!("changed");
        Bundle::from_json(&value.to_string()).unwrap();
        assert!(TheirBundle::from_json(&value.to_string()).unwrap().verify_witness());
    }
    // However deep: what is passed over is not built.
    let deep = format!("{{\"x\":{}{},{}", "[".repeat(30_000), "]".repeat(30_000), &value.to_string()[1..]);
    Bundle::from_json(&deep).unwrap();
    assert!(TheirBundle::from_json(&deep).unwrap().verify_witness());
    for field in ["pii_policy", "lineage_id", "memory_class"] {
        value.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(Bundle::from_json(&value.to_string()).unwrap(), bundle);
    assert!(TheirBundle::from_json(&value.to_string()).unwrap().verify_witness());
}

#[test]
fn what_is_no_bundle_is_refused_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = serde_json::to_value(Bundle::new("gs://b/x", 128, 42, 20, Generation::Number(7))).unwrap();
    let with = |field: &str, value: Value| {
        let mut changed = bundle.clone();
        changed[field] = value;
        changed.to_string().into_bytes()
    };
    let long = json!("x".repeat(FIELD_BYTES_MAX + 1));
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).into_bytes();
    let mut not_utf8 = bundle.to_string().into_bytes();
    not_utf8[bundle.to_string().find("gs://").unwrap()] = 0xff;
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("nothing".to_owned(), Vec::new()),
        ("not JSON".to_owned(), b"no bundle".to_vec()),
        ("half".to_owned(), bundle.to_string().into_bytes()[..100].to_vec()),
        ("two".to_owned(), format!("{bundle}{bundle}").into_bytes()),
        ("a field twice".to_owned(), bundle.to_string().replacen("{\"", "{\"dim\":128,\"", 1).into_bytes()),
        ("a list".to_owned(), b"[]".to_vec()),
        ("deep".to_owned(), deep),
        ("a deep generation".to_owned(), with("generation", (0..100).fold(json!(7), |inner, _| json!([inner])))),
        ("not UTF-8".to_owned(), not_utf8),
        ("too large".to_owned(), format!("{}{bundle}", " ".repeat(JSON_BYTES_MAX)).into_bytes()),
        ("a newer format".to_owned(), with("format_version", json!(3))),
        ("a long witness".to_owned(), with("rvf_witness", json!("0".repeat(129)))),
        ("a negative number".to_owned(), with("dim", json!(-1))),
        ("a fraction".to_owned(), with("rotation_seed", json!(1.5))),
        ("no generation".to_owned(), with("generation", Value::Null)),
        ("a generation of another type".to_owned(), with("generation", json!(7.5))),
    ];
    for field in ["data_ref", "pii_policy", "lineage_id", "memory_class"] {
        cases.push((format!("a long {field}"), with(field, long.clone())));
    }
    for field in ["format_version", "data_ref", "dim", "rotation_seed", "rerank_factor", "generation", "rvf_witness"] {
        let mut without = bundle.clone();
        without.as_object_mut().unwrap().remove(field);
        cases.push((format!("no {field}"), without.to_string().into_bytes()));
    }
    for (case, content) in cases {
        let (ours, theirs) = refused(folder.path(), &content);
        assert_eq!(ours, ErrorKind::Corrupt, "{case}: they say {theirs}");
        assert!(!theirs.contains("witness mismatch"), "{case}: {theirs}");
    }
    // As large as may be.
    let spaces = " ".repeat(JSON_BYTES_MAX - bundle.to_string().len());
    std::fs::write(folder.path().join(FILE_NAME), format!("{spaces}{bundle}")).unwrap();
    Bundle::read_from_dir(folder.path()).unwrap();
    TheirBundle::read_from_dir(folder.path()).unwrap();
}

/// The kind of error that reading gives within a while; a reader that waits fails the test instead of hanging it.
fn kind_of(folder: &Path) -> ErrorKind {
    let (sender, receiver) = mpsc::channel();
    let folder = folder.to_owned();
    std::thread::spawn(move || sender.send(Bundle::read_from_dir(&folder).unwrap_err().kind()));
    receiver.recv_timeout(Duration::from_secs(20)).expect("reading a bundle does not wait")
}

#[test]
fn only_a_plain_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    assert_eq!(kind_of(folder.path()), ErrorKind::NotFound);
    std::fs::create_dir(&path).unwrap();
    assert_eq!(kind_of(folder.path()), ErrorKind::Corrupt);
    std::fs::remove_dir(&path).unwrap();
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(kind_of(folder.path()), ErrorKind::Corrupt);
        std::fs::remove_file(&path).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        Bundle::new("x", 1, 1, 1, Generation::Number(1)).write_to_dir(elsewhere.path()).unwrap();
        for target in [elsewhere.path().join(FILE_NAME), path.clone(), "/dev/zero".into(), "/nowhere".into()] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            assert_eq!(kind_of(folder.path()), ErrorKind::Corrupt);
            std::fs::remove_file(&path).unwrap();
        }
        // A link is replaced by what is written, not written through.
        std::os::unix::fs::symlink(elsewhere.path().join(FILE_NAME), &path).unwrap();
        let newer = Bundle::new("y", 1, 1, 1, Generation::Number(1));
        newer.write_to_dir(folder.path()).unwrap();
        assert_eq!(Bundle::read_from_dir(folder.path()).unwrap(), newer);
        assert_ne!(Bundle::read_from_dir(elsewhere.path()).unwrap(), newer);
    }
}
