//! Index files in a folder: saving, loading, mapping, errors that name the file, and removal of unsaved files.

use std::fs::File;
use std::path::Path;

use super::*;
use crate::index::{FlatF32Index, IvfRabitqIndex};

fn tiny(kind: IndexKind, num_vectors: usize) -> Box<dyn VectorIndex> {
    build(kind, &params(Metric::L2, true), 3, num_vectors, IdOrder::None)
}

#[test]
fn a_file_holds_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, keep_originals) in VARIANTS {
        let index = build(kind, &params(Metric::Cosine, keep_originals), 65, 1000, IdOrder::Ascending);
        let path = folder.path().join("index.rbpx");
        index.save(&path).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes_of(index.as_ref()), "{kind}");
        let loaded = load_any(&path).unwrap();
        assert_eq!((loaded.kind(), answers(loaded.as_ref())), (kind, answers(index.as_ref())));
    }
}

#[test]
fn an_index_over_a_mapped_file_is_as_one_that_was_read_and_leaves_the_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.rbpx");
    let more = Random::new(0x6d61).gaussians(65 * 700);
    let more = VectorBatch::new(Dim::new(65).unwrap(), &more).unwrap();
    let new_ids: Vec<u64> = (1_000_000..1_000_700).collect();
    for (kind, keep_originals) in VARIANTS {
        build(kind, &params(Metric::Cosine, keep_originals), 65, 1000, IdOrder::Ascending).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (mut read, mut mapped) = (load_any(&path).unwrap(), load_mapped(&path).unwrap());
        assert!(bytes_of(mapped.as_ref()) == bytes, "{kind}");
        let remove: Vec<u64> = read.ids().into_iter().step_by(3).collect();
        for index in [&mut read, &mut mapped] {
            index.remove(&remove);
            index.add_batch(&new_ids, more).unwrap();
            index.remove(&new_ids[..650]);
        }
        assert_eq!(answers(mapped.as_ref()), answers(read.as_ref()), "{kind}");
        assert!(bytes_of(mapped.as_ref()) == bytes_of(read.as_ref()), "{kind}");
        assert!(bytes_of(mapped.clone().as_ref()) == bytes_of(read.as_ref()), "{kind}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{kind}");
    }
}

/// Nothing that is asked of it ends the process, answers or writes a file; nor does a copy.
#[cfg(all(unix, target_endian = "little"))]
#[test]
fn an_index_over_a_mapped_file_that_is_cut_short_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("index.rbpx"), folder.path().join("other.rbpx"));
    let query = Random::new(SEED).gaussians(65);
    let one = VectorBatch::new(Dim::new(65).unwrap(), &query).unwrap();
    for (kind, keep_originals) in VARIANTS {
        build(kind, &params(Metric::Cosine, keep_originals), 65, 1000, IdOrder::Ascending).save(&path).unwrap();
        let (read, mut mapped) = (load_any(&path).unwrap(), load_mapped(&path).unwrap());
        mapped.verify().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(512).unwrap();
        if mapped.vectors().is_none() {
            assert_eq!(answers(mapped.as_ref()), answers(read.as_ref()), "{kind}: codes are not mapped");
            continue;
        }
        let copy = mapped.clone();
        let search = |index: &dyn VectorIndex| index.search(&query, &SearchParams::new(7)).map(drop);
        let before = search(mapped.as_ref());
        let ids = mapped.ids();
        mapped.remove(&ids[..500]);
        mapped.add_batch(&[1 << 50], one).unwrap();
        let answers = [
            before,
            search(mapped.as_ref()),
            search(copy.as_ref()),
            search(copy.clone().as_ref()),
            mapped.search_batch(one, &SearchParams::new(7)).map(drop),
            mapped.range_search(&query, 1.0, None).map(drop),
            mapped.save(&other),
            copy.save(&other),
            load_mapped(&path).map(drop),
        ];
        for (i, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt, "{kind}: answer {i}");
        }
        assert!(mapped.is_damaged() && copy.is_damaged(), "{kind}");
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "{kind}: nothing is written");
    }
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.rbpx");
    std::fs::write(&path, b"rbpx").unwrap();
    let error = load_any(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let expected = format!("index file is truncated: expected at least 16 bytes, path {}", path.display());
    assert_eq!(error.to_string(), expected);
    std::fs::write(&path, b"PAR1 and what else a parquet file has").unwrap();
    let error = load_any(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().starts_with(r"not an index file: expected magic rbpx\r\n\x1a\n, got PAR1 and"),
        "{error}"
    );
}

#[test]
fn a_file_of_the_other_project_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.rbpx");
    // Version 1, dimension 32, seed 42, rerank factor 20, 50 vectors, and the beginning of the first.
    let bytes = b"rbpx0001\x01\0\0\0\x20\0\0\0\x2a\0\0\0\0\0\0\0\x14\0\0\0\x32\0\0\0\0\0\0\0l\xbf\0>";
    std::fs::write(&path, bytes).unwrap();
    let error = load_any(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    let message = error.to_string();
    assert!(message.contains("ruvector 0.1 on PyPI") && message.contains("export_items()"), "{message}");
    assert!(message.contains(&path.display().to_string()), "{message}");
}

#[test]
fn a_missing_file_or_folder_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("index.rbpx");
    assert_eq!(load_any(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let index = tiny(IndexKind::FlatF32, 5);
    assert_eq!(index.save(&path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(index.save(Path::new("/")).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn loading_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.rbpx");
    tiny(IndexKind::FlatF32, 5).save(&path).unwrap();
    let error = IvfRabitqIndex::load(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("index file holds another kind: expected ivf_rabitq, got flat"), "{error}");
    assert_eq!(FlatF32Index::load(&path).unwrap().len(), 5);
}

#[test]
fn saving_replaces_the_old_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.rbpx");
    tiny(IndexKind::FlatF32, 5).save(&path).unwrap();
    tiny(IndexKind::IvfRabitq, 9).save(&path).unwrap();
    assert_eq!(load_any(&path).unwrap().len(), 9);
    // A folder stands where the file should be: the rename fails, and what was written is removed.
    let taken = folder.path().join("folder.rbpx");
    std::fs::create_dir(&taken).unwrap();
    assert_eq!(tiny(IndexKind::FlatF32, 5).save(&taken).unwrap_err().kind(), ErrorKind::Io);
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder.rbpx", "index.rbpx"]);
}

/// Vectors are read from a file by all threads: what is damaged in any share of them is noticed.
#[test]
fn damage_among_many_vectors_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.rbpx");
    let index = build(IndexKind::FlatF32, &params(Metric::L2, true), 64, 50_000, IdOrder::None);
    index.save(&path).unwrap();
    for load in [load_any, load_mapped] {
        assert!(load(&path).unwrap().vectors() == index.vectors());
    }
    let whole = std::fs::read(&path).unwrap();
    for at in (4096..whole.len()).step_by(whole.len() / 13) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        for load in [load_any, load_mapped] {
            assert_eq!(load(&path).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
        }
    }
    std::fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    for load in [load_any, load_mapped] {
        assert_eq!(load(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn files_of_writers_that_were_killed_are_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("_ruvector");
    remove_unsaved(&dir).unwrap();
    std::fs::create_dir(&dir).unwrap();
    let killed = ["x-1.flat.l2.seed1.rerank20.rbpx", "x.rbpx"].map(|name| format!(".{name}.4711-0.unsaved"));
    let others = [
        "x.rbpx",
        "x.rbpx.4711-0.unsaved",
        ".x.rbpx.4711.unsaved",
        ".x.rbpx.4711-a.unsaved",
        ".x.rbpx.-0.unsaved",
        ".x.rbpx.4711-0.unsaved.bak",
        ".x.txt.4711-0.unsaved",
        "..rbpx.4711-0.unsaved",
    ];
    for name in killed.iter().map(String::as_str).chain(others) {
        std::fs::write(dir.join(name), b"index").unwrap();
    }
    // One that is being written.
    let written = dir.join(".y.rbpx.4711-1.unsaved");
    let writer = File::create(&written).unwrap();
    writer.try_lock().unwrap();
    remove_unsaved(&dir).unwrap();
    assert!(killed.iter().all(|name| !dir.join(name).exists()));
    assert!(others.iter().all(|name| dir.join(name).exists()));
    assert!(written.exists());
    drop(writer);
    remove_unsaved(&dir).unwrap();
    assert!(!written.exists());
}

#[cfg(unix)]
#[test]
fn no_link_is_followed_to_an_unsaved_file() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = ".x.rbpx.4711-0.unsaved";
    let theirs = other.path().join(name);
    std::fs::write(&theirs, b"index").unwrap();
    std::os::unix::fs::symlink(other.path(), folder.path().join("_ruvector")).unwrap();
    std::os::unix::fs::symlink(&theirs, folder.path().join(name)).unwrap();
    remove_unsaved(&folder.path().join("_ruvector")).unwrap();
    remove_unsaved(folder.path()).unwrap();
    assert!(theirs.exists() && folder.path().join(name).symlink_metadata().is_ok());
}
