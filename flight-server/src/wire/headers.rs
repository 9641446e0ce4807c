//! Headers that name the caller's session.

use tonic::metadata::MetadataMap;

const COOKIE: &str = "arrow_flight_session_id";

/// The token of an `authorization: Bearer ...` header. Other schemes, as `Basic`, name no session.
pub fn bearer_token(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// The header `cookie` of a client that names its session itself.
pub fn session_cookie_of(name: &str) -> String {
    format!("{COOKIE}={name}")
}

/// The value of the cookie that names the session of a call.
pub(crate) fn session_cookie(metadata: &MetadataMap) -> Option<String> {
    let cookies = metadata.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| *name == COOKIE && !value.is_empty())?;
    Some(value.trim_matches('"').to_owned())
}
