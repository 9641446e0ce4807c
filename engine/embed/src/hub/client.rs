//! The HTTP client of the hub: the path of a file in, its description ([`RemoteFile`]) or its bytes out.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, LOCATION, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};

use super::HubSettings;
use super::cache::is_commit;
use crate::digest::Digest;
use crate::name::ModelName;
use crate::{Error, Result};

/// For the connection, then for each read: a whole download may take as long as it takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// From the hub to its storage is one step; a renamed repository is another.
const REDIRECTS_MAX: usize = 5;

/// The hub's description of a file, from before the file is sent.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    pub(super) path: String,
    pub(super) url: Url,
    /// The commit that the revision stands for: 40 hex digits.
    pub(super) commit: String,
    pub(super) digest: Digest,
    /// In bytes, if it was said.
    pub(super) size: Option<u64>,
}

/// Speaks the hub's protocol for one model.
pub(super) struct HubClient {
    client: Client,
    endpoint: Url,
    repo: String,
    token: Option<String>,
}

impl HubClient {
    /// # Errors
    /// `InvalidInput` if the endpoint is not an http or https address.
    pub(super) fn new(name: &ModelName, settings: &HubSettings) -> Result<Self> {
        let endpoint = Url::parse(&settings.endpoint)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Error::invalid_input("the hub's endpoint is not an address")
                    .with("expected", "http(s)://host")
                    .with("got", &settings.endpoint)
            })?;
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // Followed by hand: the token must not follow.
            .redirect(redirect::Policy::none());
        if matches!(endpoint.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| Error::unavailable("cannot set up an HTTP client").with_source(full_story(error)))?;
        Ok(Self { client, endpoint, repo: name.repo(), token: settings.token.clone() })
    }

    /// Asks about a file of a revision; `None` if there is no such file or revision.
    pub(super) async fn describe(&self, revision: &str, path: &str) -> Result<Option<RemoteFile>> {
        let address =
            format!("{}/{}/resolve/{revision}/{path}", self.endpoint.as_str().trim_end_matches('/'), self.repo);
        let url = Url::parse(&address)
            .map_err(|error| Error::internal("cannot make an address").with("got", &address).with_source(error))?;
        let response = self.send(Method::HEAD, url.clone(), None).await?;
        let headers = response.headers();
        let status = response.status();
        // A redirect to the storage is an answer too: it carries the headers of the hub.
        if !status.is_success() && !status.is_redirection() {
            return match status {
                StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    Err(Error::not_found("the hub has no such model, or requires a token for it (HF_TOKEN)")
                        .with("status", status)
                        .with("repository", &self.repo))
                }
                _ => Err(unexpected(status, &url)),
            };
        }
        let commit = text(headers, "x-repo-commit").filter(|commit| is_commit(commit));
        let digest = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str())).and_then(Digest::parse);
        let (Some(commit), Some(digest)) = (commit, digest) else {
            return Err(Error::unavailable(
                "the hub announced no commit or no digest, so the file could not be checked",
            )
            .with("address", &url));
        };
        let length = text(headers, CONTENT_LENGTH.as_str()).filter(|_| status.is_success());
        let size = text(headers, "x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Some(RemoteFile { path: path.to_owned(), url, commit: commit.to_owned(), digest, size }))
    }

    /// Starts to fetch a file, from the byte `offset` on if the server can do that.
    pub(super) async fn get(&self, file: &RemoteFile, offset: u64) -> Result<Response> {
        let response = self.send(Method::GET, file.url.clone(), (offset > 0).then_some(offset)).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            status => Err(unexpected(status, &file.url)),
        }
    }

    /// Follows redirects; a HEAD only as far as the endpoint's own host.
    async fn send(&self, method: Method, mut url: Url, offset: Option<u64>) -> Result<Response> {
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.client.request(method.clone(), url.clone()).header(ACCEPT_ENCODING, "identity");
            if let Some(offset) = offset {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            if let Some(token) = self.token.as_deref().filter(|_| url.origin() == self.endpoint.origin()) {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.map_err(|error| {
                Error::unavailable("the hub did not answer").with("address", &url).with_source(full_story(error))
            })?;
            let target = text(response.headers(), LOCATION.as_str())
                .filter(|_| response.status().is_redirection())
                .and_then(|location| url.join(location).ok());
            let Some(target) = target else { return Ok(response) };
            if method == Method::HEAD && target.origin() != self.endpoint.origin() {
                return Ok(response);
            }
            if url.scheme() == "https" && target.scheme() != "https" {
                return Err(
                    Error::unavailable("the hub redirects to an address without encryption").with("address", target)
                );
            }
            url = target;
        }
        Err(Error::unavailable("the hub redirects too often").with("address", url).with("at most", REDIRECTS_MAX))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn unexpected(status: StatusCode, url: &Url) -> Error {
    Error::unavailable("the hub answered with an error").with("status", status).with("address", url)
}

/// Returns what `reqwest` keeps in the sources of an error, without the address, which our own message states.
pub(super) fn full_story(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut story = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        story = format!("{story}: {cause}");
        source = cause.source();
    }
    story
}
