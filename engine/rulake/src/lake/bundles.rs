//! Bundles and exported entries of a lake: it publishes the states that it answers from, and follows published ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sealed::SealedSnapshot;
use super::{RuLake, SearchOptions};
use crate::blocking::run_blocking;
use crate::bundle::Bundle;
use crate::cache::{Cache, Entry, read_dir, remove_saved, saved_name};
use crate::error::{Error, ErrorKind, Result};
use crate::index_spec::IndexSpec;

/// Name, in errors, of the thread that reads and writes bundles.
const FILE_WORKER: &str = "work on files";

/// Outcome of [`RuLake::refresh_from_bundle_dir`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshResult {
    /// The cached entries are of the state that the bundle names, or nothing is cached.
    UpToDate,
    /// The bundle names another state: the cached entries are forgotten, and the next search asks the backend.
    Invalidated,
    /// There is no bundle in the folder.
    BundleMissing,
}

impl RefreshResult {
    /// `UP_TO_DATE`, `INVALIDATED` or `BUNDLE_MISSING`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "UP_TO_DATE",
            Self::Invalidated => "INVALIDATED",
            Self::BundleMissing => "BUNDLE_MISSING",
        }
    }
}

impl RuLake {
    /// The bundle of a collection's state, over the vector column and with the parameters of `index`; without one, those
    /// that a search would use.
    ///
    /// # Errors
    /// As [`RuLake::pin`]; `InvalidInput` if it is not clear which vector column is meant.
    pub async fn bundle(&self, backend: &str, collection: &str, index: Option<&IndexSpec>) -> Result<Bundle> {
        let pinned = self.pin(backend, collection, None).await?;
        let spec = match index {
            Some(index) => index.clone(),
            None => self.spec(&pinned, &SearchOptions::default())?,
        };
        let snapshot = pinned.snapshot();
        let dim = crate::vector_column::dim_of_column(&snapshot.schema(), &spec.column)?;
        let generation = snapshot.generation().clone();
        Ok(Bundle::new(snapshot.data_ref(), dim, spec.seed, spec.rerank_factor, generation))
    }

    /// Writes the bundle of a collection's state to `dir/table.rulake.json`, atomically, and returns its witness.
    ///
    /// # Errors
    /// As [`bundle`](Self::bundle); `Unavailable` if the folder cannot be written.
    pub async fn publish_bundle(
        &self,
        backend: &str,
        collection: &str,
        index: Option<&IndexSpec>,
        dir: &Path,
    ) -> Result<String> {
        let bundle = self.bundle(backend, collection, index).await?;
        let dir = dir.to_owned();
        run_blocking(FILE_WORKER, move || bundle.write_to_dir(&dir).map(|_| bundle.witness)).await
    }

    /// Invalidates the cached entries of a collection if the bundle in `dir` names another state than theirs.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend; `Corrupt` or `WitnessMismatch` for a bundle that cannot be trusted: then
    /// nothing is changed.
    pub async fn refresh_from_bundle_dir(&self, backend: &str, collection: &str, dir: &Path) -> Result<RefreshResult> {
        let registered = self.registered(backend)?;
        let bundle = match read_bundle(dir).await {
            Ok(bundle) => bundle,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(RefreshResult::BundleMissing),
            Err(e) => return Err(e),
        };
        let key = (backend.to_owned(), collection.to_owned());
        let mut cached = self.cached_entries();
        cached.retain(|cached| cached.collections.contains(&key));
        if cached.is_empty() {
            // A caller that polls is told once, not until the next search; a state that is pinned is released.
            registered.unpin_other_than(collection, &bundle.data_ref, &bundle.generation);
            return Ok(RefreshResult::UpToDate);
        }
        // Entries of other parameters have other witnesses; it is the state that counts.
        let named = |entry: &Entry| entry.data_ref() == bundle.data_ref && entry.generation() == &bundle.generation;
        if cached.iter().all(|cached| named(&cached.entry)) {
            return Ok(RefreshResult::UpToDate);
        }
        self.invalidate_cache(backend, collection)?;
        Ok(RefreshResult::Invalidated)
    }

    /// Writes the cached entries of a collection to `dir`: an index file for each, with the ids of its rows, and the bundle.
    /// Files of an older state are replaced; a crash leaves those of one state whole. Returns the paths of the index files.
    ///
    /// # Errors
    /// `NotFound` if nothing is cached; `Unavailable` if the folder cannot be written.
    pub async fn save_cache_to_dir(&self, backend: &str, collection: &str, dir: &Path) -> Result<Vec<PathBuf>> {
        let key = (backend.to_owned(), collection.to_owned());
        let registered = self.registered(backend)?;
        let mut cached = self.cached_entries();
        cached.retain(|cached| cached.collections.contains(&key));
        let Some(first) = cached.first() else {
            return Err(Error::not_found("nothing is cached of the collection")
                .with("backend", backend)
                .with("collection", collection));
        };
        let entry = &first.entry;
        let bundle = Bundle::new(
            entry.data_ref(),
            entry.index().dim().get(),
            first.spec.seed,
            first.spec.rerank_factor,
            entry.generation().clone(),
        );
        if let Some(other) = cached.iter().find(|other| other.entry.generation() != &bundle.generation) {
            return Err(Error::new(ErrorKind::GenerationGone, "entries of the collection are of several states")
                .with("expected", &bundle.generation)
                .with("got", other.entry.generation()));
        }
        let mut paths = Vec::new();
        for cached in cached {
            // With them a later process answers without asking the backend.
            let pinned = self.pin_state(&registered, collection, Some(crate::Consistency::Stale), true).await;
            if let Ok(pinned) = pinned
                && pinned.snapshot().generation() == cached.entry.generation()
                && pinned.snapshot().schema().field_with_name("id").is_ok_and(|field| field.data_type().is_integer())
            {
                cached.entry.ids(pinned.snapshot().as_ref(), "id", &self.context).await?;
            }
            let path = dir.join(saved_name(&cached.spec, &bundle.data_ref, &bundle.generation));
            Cache::save(cached.entry, &cached.spec.column, path.clone()).await?;
            paths.push(path);
        }
        // After the files that it names, and before those of the one it replaces go: there is a whole one at any moment.
        let (data_ref, generation) = (bundle.data_ref.clone(), bundle.generation.clone());
        let folder = dir.to_owned();
        let before = run_blocking(FILE_WORKER, move || {
            let before = Bundle::read_from_dir(&folder);
            bundle.write_to_dir(&folder).map(|_| before.ok())
        })
        .await?;
        // Other files in the folder belong to the user.
        if let Some(before) = before.filter(|before| before.data_ref == data_ref && before.generation != generation) {
            remove_saved(dir, &before.data_ref, &before.generation).await?;
        }
        Ok(paths)
    }

    /// Loads the files of [`save_cache_to_dir`](Self::save_cache_to_dir), and returns the number of vectors. The backend is
    /// not asked: with STALE it never is, else the next search finds out whether it is still of this state.
    ///
    /// # Errors
    /// `NotFound` if there is no bundle, no index file or no such backend; `Corrupt` or `WitnessMismatch` if a file cannot
    /// be trusted, or is of another state than the bundle. Nothing is changed on error.
    pub async fn warm_from_dir(&self, backend: &str, collection: &str, dir: &Path) -> Result<usize> {
        let registered = self.registered(backend)?;
        let bundle = read_bundle(dir).await?;
        let entries = read_dir(dir, &bundle.data_ref, &bundle.generation).await?;
        for (entry, _) in &entries {
            if entry.data_ref() != bundle.data_ref || entry.generation() != &bundle.generation {
                return Err(Error::new(ErrorKind::WitnessMismatch, "index file and bundle are of different states")
                    .with("expected", format!("{} {}", bundle.data_ref, bundle.generation))
                    .with("got", format!("{} {}", entry.data_ref(), entry.generation())));
            }
        }
        let columns: Vec<(String, usize)> =
            entries.iter().map(|(entry, spec)| (spec.column.clone(), entry.index().dim().get())).collect();
        let snapshot = SealedSnapshot::new(&bundle.data_ref, bundle.generation, &columns)?;
        let num_vectors = entries.iter().map(|(entry, _)| entry.index().len()).sum();
        let key = (backend.to_owned(), collection.to_owned());
        for (entry, spec) in entries {
            self.cache.install(&key, spec, Arc::new(entry));
        }
        self.pin_sealed(&registered, collection, Arc::new(snapshot));
        Ok(num_vectors)
    }
}

async fn read_bundle(dir: &Path) -> Result<Bundle> {
    let dir = dir.to_owned();
    run_blocking(FILE_WORKER, move || Bundle::read_from_dir(&dir)).await
}
