//! The downloader against a hub on loopback that can misbehave.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::HubSettings;
use crate::name::{DEFAULT_MODEL, ModelName};
use crate::{EmbedderOptions, ErrorKind, locate};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPO: &str = "acme/tiny";

#[test]
fn a_download_fills_the_cache_in_the_layout_of_the_python_client() {
    let hub = Hub::start(REPO, Behaviour::default());
    let folder = hub.resolve().unwrap();
    assert_eq!(fs::read(folder.onnx()).unwrap(), model_bytes());
    let repo = hub.cache.path().join("models--acme--tiny");
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(folder.dir(), repo.join("snapshots").join(COMMIT));
    let blob = repo.join("blobs").join(sha256(&model_bytes()));
    assert_eq!(folder.onnx().canonicalize().unwrap(), blob.canonicalize().unwrap());
    #[cfg(unix)]
    assert!(fs::read_link(folder.onnx()).unwrap().starts_with("../../../blobs"));
    folder.verify(None).unwrap();
    // The second time nothing is asked.
    let asked = hub.requests().len();
    hub.resolve().unwrap();
    assert_eq!(hub.requests().len(), asked);
}

#[test]
fn a_flipped_byte_is_corrupt_and_leaves_no_file() {
    for file in ["onnx/model.onnx", "tokenizer.json"] {
        let hub = Hub::start(REPO, Behaviour { corrupt: Some(file), ..Default::default() });
        let error = hub.resolve().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let facts: HashMap<_, _> = error.context().collect();
        assert!(facts.contains_key("expected") && facts.contains_key("got"), "{error}");
        assert!(error.to_string().contains(file), "{error}");
        let digest = facts["expected"];
        assert!(!hub.files_in_cache().iter().any(|name| name.starts_with(digest) && !name.ends_with(".lock")));
    }
}

#[test]
fn a_known_model_must_have_the_published_bytes() {
    // This hub announces the digest of what it sends: only the pin knows better.
    let hub = Hub::start("sentence-transformers/all-MiniLM-L6-v2", Behaviour::default());
    let error = locate::resolve(&ModelName::parse(DEFAULT_MODEL).unwrap(), &hub.options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("is not the published file"), "{error}");
    assert!(error.to_string().contains("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"), "{error}");
}

#[test]
fn a_download_that_broke_off_continues_where_it_ended() {
    let hub = Hub::start(REPO, Behaviour { cut_first: Some("onnx/model.onnx"), ..Default::default() });
    let folder = hub.resolve().unwrap();
    assert_eq!(fs::read(folder.onnx()).unwrap(), model_bytes());
    let half = format!("range: bytes={}-", model_bytes().len() / 2);
    assert!(hub.requests().iter().any(|request| request.contains(&half)), "{:?}", hub.requests());
}

#[test]
fn what_an_earlier_process_left_is_continued_and_still_checked() {
    for (left, good) in [(model_bytes()[..1000].to_vec(), true), (vec![b'x'; 1000], false)] {
        let hub = Hub::start(REPO, Behaviour::default());
        let blobs = hub.cache.path().join("models--acme--tiny/blobs");
        fs::create_dir_all(&blobs).unwrap();
        let partial = blobs.join(format!("{}.incomplete", sha256(&model_bytes())));
        fs::write(&partial, left).unwrap();
        if good {
            hub.resolve().unwrap();
        } else {
            assert_eq!(hub.resolve().unwrap_err().kind(), ErrorKind::Corrupt);
            // Removed, so the next call starts from nothing.
            hub.resolve().unwrap();
        }
        assert!(!partial.exists());
    }
}

#[test]
fn a_server_without_ranges_starts_over() {
    let behaviour = Behaviour { cut_first: Some("onnx/model.onnx"), no_ranges: true, ..Default::default() };
    let hub = Hub::start(REPO, behaviour);
    assert_eq!(fs::read(hub.resolve().unwrap().onnx()).unwrap(), model_bytes());
}

#[test]
fn an_unknown_model_is_not_found_and_the_error_says_where_it_was_looked_for() {
    let hub = Hub::start("acme/other", Behaviour::default());
    let error = hub.resolve().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    let cache = hub.cache.path().join("models--acme--tiny");
    let models = hub.models.path().join(REPO);
    for place in [cache.to_str().unwrap(), models.to_str().unwrap(), hub.endpoint.as_str(), "RUVECTOR_MODELS_DIR"] {
        assert!(text.contains(place), "{place} in {text}");
    }
}

#[test]
fn a_hub_that_does_not_answer_is_unavailable() {
    let mut hub = Hub::start(REPO, Behaviour::default());
    // No free port: another test may take one that was let go of. Nothing listens on this one.
    hub.endpoint = "http://127.0.0.1:1".to_owned();
    let error = locate::resolve(&ModelName::parse(DEFAULT_MODEL).unwrap(), &hub.options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("make model"), "{error}");
    hub.endpoint = "nonsense".to_owned();
    assert_eq!(hub.resolve().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn offline_asks_nobody() {
    let hub = Hub::start(REPO, Behaviour::default());
    let options = EmbedderOptions { offline: true, ..hub.options() };
    let error = locate::resolve(&ModelName::parse(REPO).unwrap(), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("offline"), "{error}");
    assert!(error.message().ends_with("or let the hub be reached"), "{error}");
    let hinted = EmbedderOptions { online_hint: Some("say so"), ..options.clone() };
    let error = locate::resolve(&ModelName::parse(REPO).unwrap(), &hinted).unwrap_err();
    assert!(error.message().ends_with("or say so"), "{error}");
    assert!(hub.requests().is_empty());
    // What was downloaded before is there offline too.
    hub.resolve().unwrap();
    locate::resolve(&ModelName::parse(REPO).unwrap(), &options).unwrap();
}

#[test]
fn a_blob_that_changed_on_disk_is_corrupt_and_fetched_anew() {
    let hub = Hub::start(REPO, Behaviour::default());
    let folder = hub.resolve().unwrap();
    let mut bytes = model_bytes();
    bytes[7] ^= 1;
    fs::write(folder.onnx(), &bytes).unwrap();
    assert_eq!(folder.verify(None).unwrap_err().kind(), ErrorKind::Corrupt);
    hub.resolve().unwrap().verify(None).unwrap();
}

#[test]
fn a_cached_snapshot_of_another_version_is_passed_over() {
    let name = ModelName::parse(DEFAULT_MODEL).unwrap();
    let hub = Hub::start(REPO, Behaviour::default());
    let repo = hub.cache.path().join(name.cache_folder());
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(snapshot.join("onnx")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    fs::write(snapshot.join("tokenizer.json"), "{}").unwrap();
    let blob = repo.join("blobs").join(sha256(b"another"));
    fs::write(&blob, "another").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&blob, snapshot.join("onnx/model.onnx")).unwrap();
    let settings = HubSettings::new(&hub.options(), |_| None);
    assert!(super::cached(&name, &settings, &mut Vec::new()).is_none());
    assert!(blob.exists());
}

#[test]
fn a_commit_that_is_a_path_is_refused() {
    let hub = Hub::start(REPO, Behaviour { commit: Some("../../../../tmp"), ..Default::default() });
    assert_eq!(hub.resolve().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_download_works_inside_a_runtime() {
    Hub::start(REPO, Behaviour::default()).resolve().unwrap();
}

#[test]
fn the_token_goes_to_the_endpoint_and_not_to_its_storage() {
    let storage = Hub::start(REPO, Behaviour::default());
    let hub = Hub::start(REPO, Behaviour { redirect_to: Some(storage.endpoint.clone()), ..Default::default() });
    let variable = |key: &str| (key == "HF_TOKEN").then(|| "secret".to_owned());
    let settings = HubSettings::new(&hub.options(), variable);
    assert!(!format!("{settings:?}").contains("secret"));
    super::download(&ModelName::parse(REPO).unwrap(), &settings).unwrap();
    assert!(hub.requests().iter().all(|request| request.contains("authorization: bearer secret")));
    let seen = storage.requests();
    assert!(!seen.is_empty() && seen.iter().all(|request| !request.contains("authorization")), "{seen:?}");
}

#[test]
fn settings_come_from_options_then_from_the_environment() {
    let settings = |pairs: &[(&str, &str)], options: &EmbedderOptions| {
        let pairs: HashMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        HubSettings::new(options, |key| pairs.get(key).cloned())
    };
    let default = EmbedderOptions::default();
    let cache = |pairs: &[(&str, &str)]| settings(pairs, &default).cache.unwrap();
    assert_eq!(cache(&[("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b")]), Path::new("/a"));
    assert_eq!(cache(&[("HF_HOME", "/b"), ("XDG_CACHE_HOME", "/c")]), Path::new("/b/hub"));
    assert_eq!(cache(&[("XDG_CACHE_HOME", "/c")]), Path::new("/c/huggingface/hub"));
    assert_eq!(settings(&[("HF_ENDPOINT", "http://mirror/")], &default).endpoint, "http://mirror");
    assert_eq!(settings(&[("HF_ENDPOINT", "")], &default).endpoint, super::DEFAULT_ENDPOINT);
    for (value, offline) in [("1", true), ("true", true), ("0", false), ("", false)] {
        assert_eq!(settings(&[("HF_HUB_OFFLINE", value)], &default).offline, offline);
    }
    let options = EmbedderOptions { hub_cache: Some("/d".into()), offline: true, ..default.clone() };
    let settings = settings(&[("HF_HUB_CACHE", "/a"), ("HF_HUB_OFFLINE", "0")], &options);
    assert_eq!((settings.cache, settings.offline), (Some(PathBuf::from("/d")), true));
}

// --- the hub ---

#[derive(Clone, Default)]
struct Behaviour {
    /// Flips a byte of this file's body.
    corrupt: Option<&'static str>,
    /// Sends half of this file's body, once.
    cut_first: Option<&'static str>,
    no_ranges: bool,
    commit: Option<&'static str>,
    /// Answers GET with a redirect to the same path there.
    redirect_to: Option<String>,
}

/// A model repository on loopback, and folders for a client of it.
struct Hub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    cache: tempfile::TempDir,
    models: tempfile::TempDir,
}

impl Hub {
    fn start(repo: &'static str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // Lives until the test process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, repo, &behaviour, &seen);
            }
        });
        Self { endpoint, requests, cache: tempfile::tempdir().unwrap(), models: tempfile::tempdir().unwrap() }
    }

    fn options(&self) -> EmbedderOptions {
        EmbedderOptions {
            models_dir: Some(self.models.path().into()),
            hub_cache: Some(self.cache.path().into()),
            hub_endpoint: Some(self.endpoint.clone()),
            ..Default::default()
        }
    }

    fn resolve(&self) -> crate::Result<locate::ModelFolder> {
        locate::resolve(&ModelName::parse(REPO).unwrap(), &self.options())
    }

    /// Every request so far: its line and headers, in lower case.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn files_in_cache(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.cache.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                names.push(entry.file_name().into_string().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        names
    }
}

fn answer(mut stream: TcpStream, repo: &str, behaviour: &Behaviour, seen: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let Some((method, rest)) = request.first().and_then(|line| line.split_once(' ')) else { return };
    let address = rest.split(' ').next().unwrap();
    let mut log = seen.lock().unwrap();
    let again = log.iter().any(|earlier| earlier.starts_with(&format!("get {}", address.to_lowercase())));
    log.push(request.join("\n").to_lowercase());
    drop(log);
    let prefix = format!("/{repo}/resolve/");
    let file = address.strip_prefix(&prefix).and_then(|rest| rest.split_once('/'));
    let Some((path, bytes)) = file
        .filter(|(revision, _)| matches!(*revision, "main" | COMMIT))
        .and_then(|(_, path)| Some((path, body_of(path)?)))
    else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
    };
    let large = path.ends_with(".onnx");
    let etag = if large { sha256(&bytes) } else { git_blob(&bytes) };
    let mut head = format!("x-repo-commit: {}\r\netag: \"{etag}\"\r\n", behaviour.commit.unwrap_or(COMMIT));
    if large {
        head += &format!("x-linked-etag: \"{etag}\"\r\nx-linked-size: {}\r\n", bytes.len());
    }
    let total = bytes.len();
    let mut body = bytes;
    if behaviour.corrupt == Some(path) {
        body[total / 2] ^= 1;
    }
    let from: Option<usize> = request
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=")?.split('-').next()?.parse().ok());
    let mut status = "200 OK";
    if let Some(from) = from.filter(|_| !behaviour.no_ranges) {
        status = "206 Partial Content";
        head += &format!("content-range: bytes {from}-{}/{total}\r\n", total - 1);
        body.drain(..from);
    }
    if let (Some(storage), "GET") = (&behaviour.redirect_to, method) {
        status = "302 Found";
        head += &format!("location: {storage}{address}\r\n");
        body.clear();
    }
    head += &format!("content-length: {}\r\nconnection: close\r\n", body.len());
    if method == "HEAD" {
        body.clear();
    }
    if behaviour.cut_first == Some(path) && !again {
        body.truncate(total / 2);
    }
    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n{head}\r\n").as_bytes());
    let _ = stream.write_all(&body);
}

fn body_of(path: &str) -> Option<Vec<u8>> {
    match path {
        "onnx/model.onnx" => Some(model_bytes()),
        "tokenizer.json" => Some(br#"{"tokenizer": true}"#.to_vec()),
        "config.json" => Some(br#"{"hidden_size": 32}"#.to_vec()),
        "1_Pooling/config.json" => Some(br#"{"pooling_mode_mean_tokens": true}"#.to_vec()),
        _ => None,
    }
}

fn model_bytes() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn git_blob(bytes: &[u8]) -> String {
    let header = format!("blob {}\0", bytes.len());
    hex(&Sha1::digest([header.as_bytes(), bytes].concat()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
