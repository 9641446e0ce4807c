//! The section of attributes of an index file: converts [`Attributes`] to bytes, and bytes to checked attributes.

use std::io;

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::index::Attributes;

/// The bytes of section 7.
pub(super) fn to_bytes(attributes: &Attributes) -> io::Result<Vec<u8>> {
    let too_long = |_| io::Error::other("an attribute is longer than 4 GiB");
    let mut bytes = Vec::new();
    bytes.extend(u32::try_from(attributes.len()).map_err(too_long)?.to_le_bytes());
    for text in attributes.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend(u32::try_from(text.len()).map_err(too_long)?.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    Ok(bytes)
}

/// The inverse of [`to_bytes`].
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Attributes> {
    let mut fields = Fields(bytes);
    let mut attributes = Attributes::new();
    for _ in 0..fields.u32()? {
        let (key, value) = (text(&mut fields)?, text(&mut fields)?);
        if let Some((last, _)) = attributes.last_key_value()
            && *last >= key
        {
            return Err(Error::corrupt("index file has attributes out of order")
                .with("expected", format_args!("a key after {last:?}"))
                .with("got", format_args!("{key:?}")));
        }
        attributes.insert(key, value);
    }
    match fields.0 {
        [] => Ok(attributes),
        rest => {
            Err(Error::corrupt("index file has bytes after its attributes").with("expected", 0).with("got", rest.len()))
        }
    }
}

fn text(fields: &mut Fields<'_>) -> Result<String> {
    let len = fields.u32()? as usize;
    let bytes = fields.bytes(len)?;
    String::from_utf8(bytes.to_vec())
        .map_err(|source| Error::corrupt("index file has an attribute that is not UTF-8").with_source(source))
}
