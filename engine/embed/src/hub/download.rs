//! The download of a model: its name and the hub's settings in, a complete snapshot in the hub's cache out.
//!
//! A downloaded file is checked against its digest before it becomes a blob of the cache.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use super::HubSettings;
use super::cache::{RepoCache, check_digests, not_published};
use super::client::{HubClient, RemoteFile, full_story};
use crate::digest::Digest;
use crate::locate::ModelFolder;
use crate::name::{KnownModel, ModelName};
use crate::{Error, ErrorKind, Result};

/// The branch that models are published on.
const MAIN: &str = "main";

/// The first file asked for: every model has it, and its absence tells that the revision is not there.
const TOKENIZER: &str = "tokenizer.json";

/// Files that a model may have.
const OPTIONAL: [&str; 4] = ["config.json", "sentence_bert_config.json", "modules.json", "1_Pooling/config.json"];

/// The model itself, under the first name that exists. It is fetched last: a snapshot with a model is complete.
const MODEL: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// No sentence model that runs on a CPU is larger, and a mistaken server must not fill the disk.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Waits between attempts; a download continues where it broke off.
const RETRY_WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Downloads a model into the hub's cache and returns its snapshot.
///
/// Blocks. Runs on a thread and a runtime of its own, so it works wherever it is called, inside a runtime too.
///
/// # Errors
/// `NotFound` if the hub has no such model, `Unavailable` if it does not answer (safe to retry: what has arrived is
/// kept), `Corrupt` if a file's digest is not the announced or the pinned one: that file is removed.
pub(crate) fn download(name: &ModelName, settings: &HubSettings) -> Result<ModelFolder> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start a runtime").with_source(error))?;
        runtime.block_on(fetch_model(name, settings))
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("ruvector-hub".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|error| Error::internal("cannot start a thread").with_source(error))?
            .join()
            .unwrap_or_else(|_| Err(Error::internal("the download panicked")))
    })
}

async fn fetch_model(name: &ModelName, settings: &HubSettings) -> Result<ModelFolder> {
    let cache = settings.cache.as_deref().ok_or_else(|| {
        Error::invalid_input("there is no folder to download to; set HF_HUB_CACHE or the option 'hub_cache'")
    })?;
    let download = Download {
        client: HubClient::new(name, settings)?,
        cache: RepoCache::new(cache, name),
        known: KnownModel::find(name),
    };
    let not_found =
        |file: &str| Error::not_found("the hub has no such file").with("repository", name.repo()).with("file", file);
    let pinned = download.known.and_then(|known| known.revision);
    let mut tokenizer = None;
    // A mirror may know only the branch. The pins hold for it as well.
    for revision in pinned.into_iter().chain([MAIN]) {
        tokenizer = download.describe(revision, TOKENIZER).await?.map(|file| (file, revision));
        if tokenizer.is_some() {
            break;
        }
    }
    let (tokenizer, revision) = tokenizer.ok_or_else(|| not_found(TOKENIZER))?;
    // From here on the commit is asked for, so that all files are of one revision.
    let commit = tokenizer.commit.clone();
    let mut model = None;
    for path in MODEL {
        model = download.describe(&commit, path).await?;
        if model.is_some() {
            break;
        }
    }
    let model = model.ok_or_else(|| not_found(MODEL[0]))?;
    let mut files = vec![tokenizer];
    for path in OPTIONAL {
        files.extend(download.describe(&commit, path).await?);
    }
    files.push(model);
    for file in &files {
        download.fetch(file).await?;
        download.cache.link(&commit, &file.path, &file.digest).map_err(|error| cannot_write(&file.path, error))?;
    }
    if revision == MAIN {
        download.cache.set_main(&commit).map_err(|error| cannot_write("refs/main", error))?;
    }
    let snapshot = download.cache.snapshot(&commit);
    ModelFolder::open_snapshot(&snapshot)
        .ok_or_else(|| Error::internal("a downloaded model is not there").with("path", snapshot.display()))
}

struct Download {
    client: HubClient,
    cache: RepoCache,
    known: Option<&'static KnownModel>,
}

impl Download {
    async fn describe(&self, revision: &str, path: &str) -> Result<Option<RemoteFile>> {
        for wait in RETRY_WAITS {
            match self.client.describe(revision, path).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => tokio::time::sleep(wait).await,
                answer => return answer,
            }
        }
        self.client.describe(revision, path).await
    }

    /// Brings a file's bytes into the cache, unless they are there.
    async fn fetch(&self, file: &RemoteFile) -> Result<()> {
        let pins = self.known.map_or(&[][..], |known| known.pins(&file.path));
        if let Digest::Sha256(announced) = &file.digest
            && !pins.is_empty()
            && !pins.contains(&announced.as_str())
        {
            return Err(not_published(&file.path, pins, announced));
        }
        let _lock = self.cache.lock(&file.digest).map_err(|error| cannot_write(&file.path, error))?;
        let blob = self.cache.blob(&file.digest);
        if blob.is_file() {
            return Ok(());
        }
        let partial = blob.with_extension("incomplete");
        tracing::info!(file = file.path, size = file.size, url = %file.url, "downloading");
        let mut waits = RETRY_WAITS.iter();
        while let Err(error) = self.receive(file, &partial).await {
            match waits.next() {
                Some(wait) if error.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(%error, file = file.path, "trying again");
                    tokio::time::sleep(*wait).await;
                }
                _ => return Err(error),
            }
        }
        if let Err(error) = check_digests(&partial, &file.path, Some(&file.digest), pins) {
            fs::remove_file(&partial).map_err(|error| cannot_write(&file.path, error))?;
            return Err(error);
        }
        fs::rename(&partial, &blob).map_err(|error| cannot_write(&file.path, error))
    }

    /// Appends to `partial` what it lacks, and puts it on the disk.
    async fn receive(&self, file: &RemoteFile, partial: &Path) -> Result<()> {
        let write_error = |error| cannot_write(&file.path, error);
        let size_max = file.size.unwrap_or(FILE_BYTES_MAX).min(FILE_BYTES_MAX);
        let mut output = OpenOptions::new().create(true).append(true).open(partial).map_err(write_error)?;
        let mut received = output.metadata().map_err(write_error)?.len();
        if received > size_max {
            output.set_len(0).map_err(write_error)?;
            received = 0;
        }
        if file.size != Some(received) {
            let response = self.client.get(file, received).await?;
            let start = format!("bytes {received}-");
            let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
            let continues =
                response.status() == StatusCode::PARTIAL_CONTENT && range.is_some_and(|r| r.starts_with(&start));
            if !continues {
                output.set_len(0).map_err(write_error)?;
                received = 0;
                // Not the bytes asked for: the next attempt starts from nothing.
                if response.status() != StatusCode::OK {
                    return Err(Error::unavailable("the hub sent another range than was asked for")
                        .with("file", &file.path)
                        .with("status", response.status()));
                }
            }
            let mut chunks = Box::pin(response.bytes_stream());
            let broke_off = |error: reqwest::Error| {
                Error::unavailable("the download broke off").with("file", &file.path).with_source(full_story(error))
            };
            while let Some(chunk) = chunks.try_next().await.map_err(broke_off)? {
                received += chunk.len() as u64;
                if received > size_max {
                    drop(output);
                    fs::remove_file(partial).map_err(write_error)?;
                    return Err(Error::corrupt(format!("{} is longer than announced", file.path))
                        .with("expected bytes", size_max)
                        .with("got at least", received));
                }
                output.write_all(&chunk).map_err(write_error)?;
            }
        }
        output.sync_all().map_err(write_error)?;
        match file.size {
            Some(size) if size != received => Err(Error::unavailable("the download ended early")
                .with("file", &file.path)
                .with("expected bytes", size)
                .with("got", received)),
            _ => Ok(()),
        }
    }
}

/// Kind `Unavailable`: a full or read-only disk is neither the caller's mistake nor ours, and may pass.
fn cannot_write(file: &str, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot write {file} to the hub's cache folder")).with_source(error)
}
