//! Read-only wrapper of an object store: its errors become errors of this crate, with the backend's name and without secrets.
//! Listings, and requests for the metadata of one object, get a time limit.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::secret::Secrets;
use crate::error::{Error, ErrorKind};

/// Bound on the time for the next piece of a listing, or for the metadata of one object. Both answers are small.
const SMALL_ANSWER_MAX: Duration = Duration::from_secs(10);

/// A read-only store. Its errors are ours, name the backend and hold no secrets.
pub(super) struct GuardedStore {
    store: Arc<dyn ObjectStore>,
    guard: Arc<Guard>,
}

struct Guard {
    backend: String,
    secrets: Secrets,
}

impl GuardedStore {
    pub(super) fn new(backend: &str, store: Arc<dyn ObjectStore>, secrets: Secrets) -> Self {
        Self { store, guard: Arc::new(Guard { backend: backend.to_owned(), secrets }) }
    }
}

impl Guard {
    fn error(&self, error: object_store::Error) -> object_store::Error {
        let text = error.to_string();
        let ours = |kind, message: &str| {
            let reason = self.secrets.hide(&without_markup(&text));
            Box::new(Error::new(kind, message).with("backend", &self.backend).with("reason", reason))
        };
        // Failed listings keep the status of the answer to themselves: it is in their text only.
        let has_status =
            |statuses: &[&str]| statuses.iter().any(|status| text.contains(&format!("status code: {status} ")));
        match &error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                generic(ours(ErrorKind::Unavailable, "object store denies access"))
            }
            object_store::Error::NotFound { path, .. } => object_store::Error::NotFound {
                path: path.clone(),
                source: ours(ErrorKind::NotFound, "object store has no such bucket or object"),
            },
            _ if has_status(&["401", "403"]) => generic(ours(ErrorKind::Unavailable, "object store denies access")),
            _ if has_status(&["404"]) => object_store::Error::NotFound {
                path: String::new(),
                source: ours(ErrorKind::NotFound, "object store has no such bucket or object"),
            },
            _ => generic(ours(ErrorKind::Unavailable, "object store does not answer")),
        }
    }

    /// Outcome of a request with a small answer, which has to come within [`SMALL_ANSWER_MAX`].
    async fn soon<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(SMALL_ANSWER_MAX, answer).await {
            Ok(answer) => answer.map_err(|e| self.error(e)),
            Err(_) => Err(generic(Box::new(
                Error::unavailable("object store does not answer")
                    .with("backend", &self.backend)
                    .with("reason", format!("no answer within {SMALL_ANSWER_MAX:?}")),
            ))),
        }
    }
}

/// The text of an error, with the code and the message of an XML answer in place of the answer.
fn without_markup(text: &str) -> String {
    let Some((before, answer)) = text.split_once("<?xml") else { return text.to_owned() };
    let said = |name: &str| {
        let (_, after) = answer.split_once(&format!("<{name}>"))?;
        after.split_once("</").map(|(said, _)| said)
    };
    format!("{before}{}: {}", said("Code").unwrap_or("an answer in XML"), said("Message").unwrap_or_default())
}

fn generic(source: Box<Error>) -> object_store::Error {
    object_store::Error::Generic { store: "object store", source }
}

/// The pieces of a listing, each of which comes soon or is an error, which is the last.
fn pieces(
    guard: Arc<Guard>,
    listing: BoxStream<'static, Result<ObjectMeta>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let next = |(guard, listing): (Arc<Guard>, Option<BoxStream<'static, Result<ObjectMeta>>>)| async move {
        let mut listing = listing?;
        match guard.soon(async { listing.next().await.transpose() }).await {
            Ok(piece) => Some((Ok(piece?), (guard, Some(listing)))),
            Err(e) => Some((Err(e), (guard, None))),
        }
    };
    stream::unfold((guard, Some(listing)), next).boxed()
}

#[async_trait]
impl ObjectStore for GuardedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.guard.soon(self.store.get_opts(location, options)).await;
        }
        let result = self.store.get_opts(location, options).await.map_err(|e| self.guard.error(e))?;
        let payload = match result.payload {
            GetResultPayload::Stream(bytes) => {
                let guard = Arc::clone(&self.guard);
                GetResultPayload::Stream(bytes.map(move |piece| piece.map_err(|e| guard.error(e))).boxed())
            }
            other => other,
        };
        Ok(GetResult { payload, ..result })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store.get_ranges(location, ranges).await.map_err(|e| self.guard.error(e))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        pieces(Arc::clone(&self.guard), self.store.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.guard.soon(self.store.list_with_delimiter(prefix)).await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(read_only("delete")) }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}

fn read_only(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented { operation: operation.to_owned(), implementer: "ruLake".to_owned() }
}

impl fmt::Debug for GuardedStore {
    /// The store inside knows its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStore").field("backend", &self.guard.backend).finish_non_exhaustive()
    }
}

impl fmt::Display for GuardedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store of backend {}", self.guard.backend)
    }
}
