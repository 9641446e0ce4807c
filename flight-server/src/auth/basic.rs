//! `authorization: Basic ...`, which a client sends with its handshake.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tonic::metadata::MetadataMap;

/// Go clients leave the padding out, others do not.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const ENGINES: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&alphabet::STANDARD, CONFIG), GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG)];

/// The user and the password.
pub(super) fn credentials(metadata: &MetadataMap) -> Option<(String, String)> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let encoded = encoded.trim();
    let decoded = ENGINES.iter().find_map(|engine| engine.decode(encoded).ok())?;
    let text = String::from_utf8(decoded).ok()?;
    // A password may have colons in it, a user's name has none.
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    fn of(header: &str) -> Option<(String, String)> {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", header.parse().unwrap());
        credentials(&metadata)
    }

    #[test]
    fn every_client_is_understood() {
        // Text that needs both padding and the letters that the alphabets do not share.
        let expected = Some(("ümläut".to_owned(), "p:w>>???ÿ".to_owned()));
        let text = "ümläut:p:w>>???ÿ";
        for encoded in
            [STANDARD.encode(text), STANDARD_NO_PAD.encode(text), URL_SAFE.encode(text), URL_SAFE_NO_PAD.encode(text)]
        {
            assert_eq!(of(&format!("Basic {encoded}")), expected);
            assert_eq!(of(&format!("basic  {encoded} ")), expected);
        }
        assert_eq!(of(&format!("Basic {}", STANDARD.encode(":"))), Some((String::new(), String::new())));
    }

    #[test]
    fn other_headers_are_no_credentials() {
        for header in ["Basic", "Basic ***", "Bearer dTpw", "Basic dQ==", "Basic /w=="] {
            assert_eq!(of(header), None, "{header}");
        }
    }
}
