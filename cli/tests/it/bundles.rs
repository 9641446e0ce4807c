//! `ruvector bundle`: what it prints, and its exit codes.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::command_line::{kill, ruvector, serve, stderr, stdout, wait};

/// A folder with the tables of `data`, in which the command runs.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.dir.path().join("data")).unwrap();
        place.sql(
            "CREATE TABLE docs (id BIGINT, vec FLOAT[2]); INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0]); \
             CREATE INDEX docs_vec ON docs (vec)",
        );
        place
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, args: &[&str]) -> Output {
        ruvector().args(args).current_dir(self.dir.path()).stdin(Stdio::null()).output().unwrap()
    }

    fn sql(&self, statements: &str) {
        let output = self.run(&["sql", "--data", "data", "-c", statements]);
        assert_eq!(stderr(&output), "");
    }

    /// Runs `ruvector bundle`, and returns what it printed.
    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(&[&["bundle"], args].concat());
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{args:?}");
        stdout(&output)
    }

    /// Runs `ruvector bundle`, and returns what it complained of.
    #[track_caller]
    fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(&[&["bundle"], args].concat());
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(code), ""), "{}", stderr(&output));
        assert!(stderr(&output).starts_with("error: "), "{}", stderr(&output));
        stderr(&output)
    }
}

/// Changes one byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_bundle_names_a_state() {
    let place = Place::new();
    let published = place.succeeds(&["publish", "--data", "data", "docs", "shared"]);
    let witness = published.strip_prefix("published docs to shared/table.rulake.json\nwitness ").expect(&published);
    let shown = place.succeeds(&["show", "shared"]);
    for line in ["dim            2\n", "rotation_seed  42\n", &format!("witness        {witness}")] {
        assert!(shown.contains(line), "{shown}");
    }
    let verify = ["verify", "--data", "data", "docs", "shared"];
    assert!(place.succeeds(&verify).starts_with("the bundle is whole and names the newest state of docs: "));

    place.sql("INSERT INTO docs VALUES (3, [1.0, 1.0])");
    assert!(place.fails(&verify, 5).contains("docs is in another state"));
    place.succeeds(&["publish", "--data", "data", "docs", "shared"]);
    place.succeeds(&verify);

    // The parameters are those of the index.
    place.sql("DROP INDEX docs_vec");
    place.sql("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec) WITH (seed = 7, rerank_factor = 30)");
    place.succeeds(&["publish", "--data", "data", "docs", "shared"]);
    let shown = place.succeeds(&["show", "shared"]);
    for line in ["rotation_seed  7\n", "rerank_factor  30\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    place.succeeds(&verify);
}

#[test]
fn a_bundle_that_was_changed_is_not_believed() {
    let place = Place::new();
    place.succeeds(&["publish", "--data", "data", "docs", "shared"]);
    let path = place.dir.path().join("shared/table.rulake.json");
    let json = fs::read_to_string(&path).unwrap();
    for (changed, complaint) in [
        (json.replace("\"rotation_seed\": 42", "\"rotation_seed\": 43"), "changed after it was sealed"),
        (json[..json.len() / 2].to_owned(), "not valid JSON"),
        (String::new(), "not valid JSON"),
    ] {
        assert_ne!(changed, json);
        fs::write(&path, changed).unwrap();
        assert!(place.fails(&["show", "shared"], 4).contains(complaint));
        assert!(place.fails(&["verify", "--data", "data", "docs", "shared"], 4).contains(complaint));
    }
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    assert!(place.fails(&["show", "nowhere"], 3).contains("no bundle: path nowhere/table.rulake.json"));
    assert!(place.fails(&["verify", "--data", "data", "docs", "nowhere"], 3).contains("no bundle"));
    assert!(place.fails(&["publish", "--data", "data", "nothing", "shared"], 1).contains("nothing"));
    assert!(!place.dir.path().join("shared").exists());
    assert!(place.fails(&["refresh", "--data", "data", "docs", "shared"], 1).contains("--remote"));
    assert!(place.fails(&["publish", "--remote", "grpc://127.0.0.1:1", "docs", "shared"], 1).contains("cannot reach"));
}

#[test]
fn a_server_follows_bundles() {
    let place = Place::new();
    place.succeeds(&["publish", "--data", "data", "docs", "old"]);
    place.succeeds(&["save", "--data", "data", "docs", "saved"]);
    place.sql("INSERT INTO docs VALUES (3, [1.0, 1.0])");
    let (mut server, _out, url) = serve(&["--data", &place.path("data")]);
    let remote = |action: &'static str, folder: &str| [action, "--remote", &url, "docs", folder].map(str::to_owned);
    let succeeds = |action, folder: &str| {
        let args = remote(action, folder);
        place.succeeds(&args.each_ref().map(String::as_str))
    };
    let fails = |action, folder: &str, code| {
        let args = remote(action, folder);
        place.fails(&args.each_ref().map(String::as_str), code)
    };
    let [old, new, saved, nowhere] = ["old", "new", "saved", "nowhere"].map(|name| place.path(name));

    assert!(succeeds("publish", &new).starts_with("published docs to "));
    // It reads the bundle here and asks the server for the state.
    assert!(succeeds("verify", &new).contains("newest state"));
    assert!(fails("verify", &old, 5).contains("another state"));
    // By now the server has the index of the newest state.
    assert!(succeeds("refresh", &new).starts_with("UP_TO_DATE: "));
    assert!(succeeds("refresh", &old).starts_with("INVALIDATED: "));
    assert!(fails("refresh", &nowhere, 3).contains("no bundle"));

    assert_eq!(succeeds("warm", &saved), "2 vectors of docs are indexed in memory\n");
    assert!(succeeds("save", &new).contains("wrote "));
    assert_eq!(succeeds("warm", &new), "3 vectors of docs are indexed in memory\n");
    let files = fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().path());
    let indexes: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "rbpx")).collect();
    assert_eq!(indexes.len(), 1);
    flip(&indexes[0]);
    assert!(fails("warm", &new, 4).contains("checksum"));
    assert!(fails("warm", &nowhere, 3).contains("no bundle"));
    kill(&server, "TERM");
    assert_eq!(wait(&mut server), Some(0));
}
