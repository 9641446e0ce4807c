//! The check of messages in their order, and the decoders of whole byte strings behind it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::{DictionaryBatch, Message, MessageHeader, root_as_message};

use super::malformed::Malformed;
use super::{batch, schema};
use crate::config::{ARROW_DECODED_BYTES_MAX, ARROW_HEADER_BYTES_MAX};

/// Four bytes before the length of a message; versions before 0.15 of Arrow leave them out.
const CONTINUATION: [u8; 4] = [0xFF; 4];

/// The check of the messages of one stream, which must see all of them, in their order.
///
/// After it Arrow's decoder allocates no more than [`ARROW_DECODED_BYTES_MAX`] for what one message decodes to, or the
/// bytes of the message where they are more, and as much for the dictionaries of the stream. Parts that are not aligned are
/// copied once more.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    schema: Option<SchemaRef>,
    /// Bytes that the decoder keeps for each dictionary.
    dictionaries: HashMap<i64, usize>,
}

impl Checker {
    /// Checks the message of the flatbuffer `header` and the bytes `body`. Reads the header, and of compressed buffers in
    /// the body what their lengths follow from.
    ///
    /// # Errors
    /// The first size that the message claims and does not have, or that is over a budget.
    pub(crate) fn check(&mut self, header: &[u8], body: &[u8]) -> Result<(), Malformed> {
        let message = message(header)?;
        body_of(&message, body)?;
        match message.header_type() {
            MessageHeader::NONE => Ok(()),
            MessageHeader::Schema if self.schema.is_some() => {
                Err(Malformed::new("a stream", "one schema", "a second one"))
            }
            MessageHeader::Schema => {
                self.schema = Some(Arc::new(to_schema(&message)?));
                Ok(())
            }
            MessageHeader::RecordBatch => {
                let rows = message.header_as_record_batch().ok_or_else(no_header)?;
                let schema = self.schema.as_ref().ok_or_else(no_schema)?;
                let columns = schema.fields().iter().map(|field| field.data_type());
                batch::check(rows, message.version(), body, columns).map(|_| ())
            }
            MessageHeader::DictionaryBatch => {
                let dictionary = message.header_as_dictionary_batch().ok_or_else(no_header)?;
                self.dictionary(&message, dictionary, body)
            }
            other => {
                let got = other.variant_name().unwrap_or("one of an unknown kind");
                Err(Malformed::new("a message", "Schema, RecordBatch or DictionaryBatch", got))
            }
        }
    }

    fn dictionary(
        &mut self,
        message: &Message<'_>,
        dictionary: DictionaryBatch<'_>,
        body: &[u8],
    ) -> Result<(), Malformed> {
        let schema = self.schema.as_ref().ok_or_else(no_schema)?;
        let id = dictionary.id();
        let unknown = || Malformed::new("the id of a dictionary", "one of the schema", id);
        #[allow(deprecated, reason = "the decoder finds the type of a dictionary by it too, and by nothing else")]
        let fields = schema.fields_with_dict_id(id);
        let Some(DataType::Dictionary(_, values)) = fields.first().map(|field| field.data_type()) else {
            return Err(unknown());
        };
        let rows = dictionary.data().ok_or_else(no_header)?;
        let decoded = batch::check(rows, message.version(), body, [values.as_ref()])?;
        let of_id = self.dictionaries.entry(id).or_default();
        // A delta is appended, and anything else takes the place of what was there.
        *of_id = if dictionary.isDelta() { of_id.saturating_add(decoded) } else { decoded };
        let total = self.dictionaries.values().fold(0_usize, |sum, bytes| sum.saturating_add(*bytes));
        let budget = ARROW_DECODED_BYTES_MAX.max(body.len());
        if total > budget {
            return Err(Malformed::new("the dictionaries of a stream", format_args!("at most {budget} bytes"), total));
        }
        Ok(())
    }
}

/// Decodes an encapsulated schema, the form of it in Flight's messages.
///
/// # Errors
/// As those of `Checker::check`.
pub fn decode_schema(bytes: &[u8]) -> Result<Schema, Malformed> {
    let mut rest = bytes;
    let header = header(&mut rest)?.ok_or_else(|| Malformed::new("a schema", "a message", "none"))?;
    to_schema(&message(header)?)
}

/// Decodes the first batch of an encapsulated stream.
///
/// # Errors
/// As those of [`Checker::check`]; that there is no batch; or that its values are not those of its types.
pub(crate) fn decode_batch(bytes: &[u8]) -> Result<RecordBatch, Malformed> {
    let mut checker = Checker::default();
    let mut rest = bytes;
    while let Some(header) = header(&mut rest)? {
        let message = message(header)?;
        let (body, others) = rest.split_at(body_of(&message, rest)?);
        checker.check(header, body)?;
        rest = others;
    }
    let decoded = without_panic(|| StreamReader::try_new(bytes, None)?.next().transpose())?;
    let batch = decoded.map_err(|error| Malformed::new("a stream", "values of its schema", error))?;
    batch.ok_or_else(|| Malformed::new("a stream", "a batch", "none"))
}

/// The flatbuffer of the message that `rest` begins with, which it loses. `None` at the end of the stream.
fn header<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    if rest.is_empty() {
        return Ok(None);
    }
    let mut len = word(rest)?;
    if len == CONTINUATION {
        len = word(rest)?;
    }
    let len = i32::from_le_bytes(len);
    if len == 0 {
        return Ok(None);
    }
    let present = rest.len();
    let taken = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len));
    let (header, others) = taken.ok_or_else(|| {
        Malformed::new("the length of a message's header", format_args!("at most the {present} bytes that follow"), len)
    })?;
    *rest = others;
    Ok(Some(header))
}

fn word(rest: &mut &[u8]) -> Result<[u8; 4], Malformed> {
    let (word, others) = rest
        .split_first_chunk()
        .ok_or_else(|| Malformed::new("the length of a message's header", "4 bytes", rest.len()))?;
    *rest = others;
    Ok(*word)
}

/// The message in `header`, whose tables lie in it.
fn message(header: &[u8]) -> Result<Message<'_>, Malformed> {
    if header.len() > ARROW_HEADER_BYTES_MAX {
        let expected = format_args!("at most {ARROW_HEADER_BYTES_MAX} bytes");
        return Err(Malformed::new("the header of a message", expected, header.len()));
    }
    root_as_message(header).map_err(|error| {
        // The lines below say by which fields it was reached.
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default();
        Malformed::new("the header of a message", "a flatbuffer of type Message", error)
    })
}

/// The length of the body of `message`, which `present` begins with.
fn body_of(message: &Message<'_>, present: &[u8]) -> Result<usize, Malformed> {
    let len = message.bodyLength();
    usize::try_from(len).ok().filter(|&len| len <= present.len()).ok_or_else(|| {
        let expected = format_args!("at most the {} bytes that follow", present.len()).to_string();
        Malformed::new("the length of a message's body", expected, len)
    })
}

fn to_schema(message: &Message<'_>) -> Result<Schema, Malformed> {
    let got = message.header_type().variant_name().unwrap_or("one of an unknown kind");
    let schema = message.header_as_schema().ok_or_else(|| Malformed::new("a message", "Schema", got))?;
    schema::check(schema)?;
    without_panic(|| fb_to_schema(schema))
}

/// The result of `decode` for a message that was checked. Arrow's decoder asserts what the checks leave to it, as the alignment
/// of offsets: the sender's mistake, and no reason to lose the thread.
fn without_panic<T>(decode: impl FnOnce() -> T) -> Result<T, Malformed> {
    std::panic::catch_unwind(AssertUnwindSafe(decode)).map_err(|_| damaged())
}

/// The error of a message on which the decoder panics.
pub(crate) fn damaged() -> Malformed {
    Malformed::new("a message", "parts that fit each other", "others")
}

fn no_header() -> Malformed {
    Malformed::new("a message", "its description", "none")
}

fn no_schema() -> Malformed {
    Malformed::new("the first message of a stream", "a schema", "rows")
}
