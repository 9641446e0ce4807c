//! Valid messages of every type pass, and nothing that is made of them by damage gets further than the checks.

use std::sync::Arc;

use arrow::array::builder::{BinaryViewBuilder, ListBuilder, MapBuilder, PrimitiveRunBuilder, StringViewBuilder};
use arrow::array::builder::{Int32Builder, StringBuilder, UnionBuilder};
use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};

use super::checker::{Checker, decode_batch, decode_schema};
use super::lz4;
use super::malformed::Malformed;

/// A length that no machine has.
const HUGE: i64 = 1 << 47;

#[test]
fn valid_batches_of_every_type_are_decoded() {
    for (name, batch) in batches() {
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let stream = encoded(&batch, compression);
            assert_eq!(decode_batch(&stream), Ok(batch.clone()), "{name}, {compression:?}");
        }
    }
}

#[test]
fn a_schema_is_decoded_with_and_without_continuation() {
    let (_, batch) = batches().remove(0);
    let stream = encoded(&batch, None);
    let schema = Ok(batch.schema().as_ref().clone());
    assert_eq!(decode_schema(&stream), schema);
    assert_eq!(decode_schema(&stream[4..]), schema);
    for end in 0..8 {
        assert!(decode_schema(&stream[..end]).is_err());
    }
}

#[test]
fn lengths_of_messages_are_checked_against_the_bytes() {
    let mut messages = Parts::of(&encoded(&numbers(1000), None));
    let body = messages.0[1].1.len();
    for length in [HUGE, -1, i64::MAX, i64::MIN, body as i64 + 1] {
        messages.set(slot(&messages.0[1].0, root(&messages.0[1].0), 3), length);
        let expected =
            format!("the length of a message's body: expected at most the {body} bytes that follow, got {length}");
        // The end of the stream follows on the last body.
        let refused = messages.check();
        assert_eq!(text(refused), format!("Arrow data: {expected}"));
    }
    let mut stream = encoded(&numbers(3), None);
    for length in [i32::MAX, -2, 1 << 24] {
        stream[4..8].copy_from_slice(&length.to_le_bytes());
        assert!(text(decode_batch(&stream)).contains(&format!("got {length}")));
        assert!(text(decode_schema(&stream)).contains(&format!("got {length}")));
    }
}

#[test]
fn buffers_lie_in_the_body_and_hold_the_rows() {
    let valid = Parts::of(&encoded(&numbers(1000), None));
    let buffers = entries(&valid.0[1].0, 2);
    for (place, value) in [
        (buffers[1], HUGE),
        (buffers[1], -8),
        (buffers[1] + 8, HUGE),
        (buffers[1] + 8, i64::MAX),
        (buffers[1] + 8, -1),
        (buffers[1] + 8, 7992),
    ] {
        let mut messages = valid.clone();
        messages.set(place, value);
        assert!(messages.check().is_err(), "{value}");
    }
    let nodes = entries(&valid.0[1].0, 1);
    for (place, value) in [(nodes[0], HUGE), (nodes[0], -1), (nodes[0], 999), (nodes[0] + 8, 1001), (nodes[0] + 8, -1)]
    {
        let mut messages = valid.clone();
        messages.set(place, value);
        assert!(messages.check().is_err(), "{value}");
    }
}

#[test]
fn claims_of_compressed_buffers_are_checked_before_the_allocation() {
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let valid = Parts::of(&encoded(&numbers(1000), Some(compression)));
        let buffer = entries(&valid.0[1].0, 2)[1];
        let start = offset(&valid.0[1].0, buffer);
        assert_eq!(long(&valid.0[1].1, start), 8000);
        for claim in [HUGE, i64::MAX, -2, i64::MIN, 200 << 20] {
            let mut messages = valid.clone();
            messages.0[1].1[start..start + 8].copy_from_slice(&claim.to_le_bytes());
            let refused = text(messages.check());
            assert!(refused.contains("the uncompressed length of buffer 1"), "{compression:?}, {claim}: {refused}");
        }
        for len in 1..8 {
            let mut messages = valid.clone();
            messages.set(buffer + 8, len);
            assert!(text(messages.check()).contains(&format!("expected 8 bytes, got {len}")), "{compression:?}");
        }
    }
}

#[test]
fn a_frame_that_yields_more_than_it_claims_is_refused() {
    let zeros = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![0; 100_000])) as ArrayRef)]).unwrap();
    let mut messages = Parts::of(&encoded(&zeros, Some(CompressionType::LZ4_FRAME)));
    let start = offset(&messages.0[1].0, entries(&messages.0[1].0, 2)[1]);
    messages.0[1].1[start..start + 8].copy_from_slice(&8_i64.to_le_bytes());
    let refused = text(messages.check());
    assert!(refused.ends_with("the uncompressed length of buffer 1: expected 8, got more"), "{refused}");
}

#[test]
fn many_claims_share_one_budget() {
    // 40 columns of 8 MiB of zeros each: some kilobytes of ZSTD, and more than the budget.
    let zeros = Arc::new(Int64Array::from(vec![0; 1 << 20])) as ArrayRef;
    let columns = |n: usize| RecordBatch::try_from_iter((0..n).map(|i| (i.to_string(), Arc::clone(&zeros)))).unwrap();
    let few = encoded(&columns(2), Some(CompressionType::ZSTD));
    assert!(few.len() < 16 << 10, "{}", few.len());
    assert!(decode_batch(&few).is_ok());
    let many = Parts::of(&encoded(&columns(40), Some(CompressionType::ZSTD)));
    let refused = text(many.check());
    assert!(refused.contains("of the budget, got 8388608"), "{refused}");
}

#[test]
fn the_dictionaries_of_a_stream_share_one_budget() {
    // Each message is small and within its own budget: 8 MiB of zeros.
    let zeros = |len: usize| Arc::new(Int64Array::from(vec![0; len])) as ArrayRef;
    let tagged = |values| Arc::new(DictionaryArray::new(Int8Array::from(vec![0]), values)) as ArrayRef;
    let tags = tagged(zeros(1 << 20));
    let columns = |n: usize| RecordBatch::try_from_iter((0..n).map(|i| (i.to_string(), Arc::clone(&tags)))).unwrap();
    let refused =
        |parts: &Parts| text(parts.check()).contains("the dictionaries of a stream: expected at most 268435456");

    // Of many columns.
    let few = Parts::of(&encoded(&columns(30), Some(CompressionType::ZSTD)));
    assert_eq!(few.0.len(), 32);
    assert_eq!(few.check(), Ok(()));
    let many = Parts::of(&encoded(&columns(40), Some(CompressionType::ZSTD)));
    let sent: usize = many.0.iter().map(|(header, body)| header.len() + body.len()).sum();
    assert!(sent < 512 << 10, "{sent} bytes");
    assert!(refused(&many), "{:?}", many.check());

    // Of one column, where each adds to the dictionary before.
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let options = options.with_dictionary_handling(DictionaryHandling::Delta);
    let one = columns(1);
    let grown = RecordBatch::try_from_iter([("0", tagged(zeros(2 << 20)))]).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), one.schema_ref(), options).unwrap();
    writer.write(&one).unwrap();
    writer.write(&grown).unwrap();
    let parts = Parts::of(&writer.into_inner().unwrap());
    // The schema, a dictionary, rows, what is added to the dictionary, and rows.
    assert_eq!(parts.0.len(), 5);
    let repeated = |part: usize, n: usize| Parts([&parts.0[..2], vec![parts.0[part].clone(); n].as_slice()].concat());
    assert_eq!(repeated(3, 30).check(), Ok(()));
    assert!(refused(&repeated(3, 40)), "{:?}", repeated(3, 40).check());
    // A dictionary that takes the place of the one before adds nothing.
    assert_eq!(repeated(1, 40).check(), Ok(()));
}

#[test]
fn rows_without_bytes_are_bounded() {
    let nulls = |len| RecordBatch::try_from_iter([("a", new_null_array(&DataType::Null, len))]).unwrap();
    assert!(decode_batch(&encoded(&nulls(1 << 20), None)).is_ok());
    assert!(text(decode_batch(&encoded(&nulls((1 << 20) + 1), None))).contains("rows without bytes"));
    let options = RecordBatchOptions::new().with_row_count(Some(usize::MAX >> 1));
    let bare = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert!(text(decode_batch(&encoded(&bare, None))).contains("rows without bytes"));
    let runs = RunArray::try_new(&Int32Array::from(vec![i32::MAX]), &Int64Array::from(vec![1])).unwrap();
    let runs = RecordBatch::try_from_iter([("a", Arc::new(runs) as ArrayRef)]).unwrap();
    assert!(text(decode_batch(&encoded(&runs, None))).contains("rows without bytes"));
    // Beside a column with values they are as many as those.
    let bits = Arc::new(BooleanArray::from(vec![true; 2 << 20])) as ArrayRef;
    let both = RecordBatch::try_from_iter([("a", new_null_array(&DataType::Null, 2 << 20)), ("b", bits)]).unwrap();
    assert_eq!(decode_batch(&encoded(&both, None)), Ok(both));
}

#[test]
fn a_type_whose_values_are_too_wide_is_refused() {
    let list = |item, size| DataType::FixedSizeList(Arc::new(Field::new_list_field(item, true)), size);
    for (data_type, is_allowed) in [
        (list(DataType::Float32, 16_384), true),
        (list(DataType::Float32, i32::MAX), false),
        (list(DataType::Null, i32::MAX), false),
        (list(list(list(DataType::Int8, i32::MAX), i32::MAX), i32::MAX), false),
        (DataType::FixedSizeBinary(1 << 20), true),
        (DataType::FixedSizeBinary(i32::MAX), false),
    ] {
        let schema = Schema::new(vec![Field::new("wide", data_type.clone(), true)]);
        let stream = StreamWriter::try_new(Vec::new(), &schema).unwrap().into_inner().unwrap();
        let refused = decode_schema(&stream);
        assert_eq!(refused.is_ok(), is_allowed, "{data_type}: {refused:?}");
        assert!(is_allowed || text(refused).contains("one value of field"), "{data_type}");
    }
}

#[test]
fn counts_of_views_are_those_of_the_buffers() {
    let views = StringViewArray::from(vec!["a text longer than the inlined twelve bytes"; 3]);
    let valid = Parts::of(&encoded(&RecordBatch::try_from_iter([("a", Arc::new(views) as ArrayRef)]).unwrap(), None));
    let counts = vector(&valid.0[1].0, batch_table(&valid.0[1].0), 4);
    for count in [-1, i64::MIN, i64::MAX, HUGE, 0, 2] {
        let mut messages = valid.clone();
        messages.set(counts + 4, count);
        assert!(messages.check().is_err(), "{count}");
    }
}

#[test]
fn dictionaries_are_checked_and_need_an_id_of_the_schema() {
    let words: DictionaryArray<Int8Type> = ["en", "de", "en"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("lang", Arc::new(words) as ArrayRef)]).unwrap();
    let valid = Parts::of(&encoded(&batch, None));
    assert_eq!(valid.check(), Ok(()));
    let mut messages = valid.clone();
    // An id of 0 is left out of the header: the dictionary's other parts show that it is looked at.
    let node = entries(&valid.0[1].0, 1)[0];
    messages.0[1].0[node..node + 8].copy_from_slice(&HUGE.to_le_bytes());
    assert!(messages.check().is_err());
    messages.0[1] = valid.0[1].clone();
    messages.0[0] = Parts::of(&encoded(&numbers(3), None)).0[0].clone();
    assert!(text(messages.check()).contains("the id of a dictionary: expected one of the schema"));
}

#[test]
fn messages_come_in_their_order() {
    let valid = Parts::of(&encoded(&numbers(3), None));
    let rows_first = Parts(vec![valid.0[1].clone(), valid.0[0].clone()]);
    assert!(text(rows_first.check()).contains("the first message of a stream: expected a schema"));
    let two_schemas = Parts(vec![valid.0[0].clone(), valid.0[0].clone()]);
    assert!(text(two_schemas.check()).contains("expected one schema"));
    assert!(text(decode_batch(&encoded(&numbers(3), None)[..0])).contains("Arrow data"));
}

#[test]
fn the_length_of_a_frame_is_that_of_its_content() {
    for len in [1_usize, 7, 64, 5000, 65_536, 300_000, 5 << 20] {
        let mut state = 7;
        for noise in [0, 1, 16] {
            let values: Vec<_> = (0..len).map(|i| if i % 64 < noise { random_byte(&mut state) } else { 3 }).collect();
            let batch = RecordBatch::try_from_iter([("a", Arc::new(UInt8Array::from(values)) as ArrayRef)]).unwrap();
            let messages = Parts::of(&encoded(&batch, Some(CompressionType::LZ4_FRAME)));
            let (header, body) = &messages.0[1];
            let buffer = entries(header, 2)[1];
            let (start, bytes) = (offset(header, buffer), offset(header, buffer + 8));
            if long(body, start) >= 0 {
                let frame = &body[start + 8..start + bytes];
                assert_eq!(lz4::uncompressed_len(frame, len), Some(len), "{len} bytes, noise {noise}");
                assert!(lz4::uncompressed_len(frame, len - 1).is_some_and(|len_seen| len_seen >= len), "{len}");
                assert_eq!(lz4::uncompressed_len(&frame[..frame.len() - 5], len), None, "{len} bytes, noise {noise}");
            }
        }
    }
}

/// `RUVECTOR_DAMAGED_STREAMS` is the number of streams, for longer runs; `RUVECTOR_SEED` begins with another one.
#[test]
fn damaged_streams_are_errors() {
    let number = |name, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    let seed = number("RUVECTOR_SEED", 16);
    mutate(seed, number("RUVECTOR_DAMAGED_STREAMS", 4000), |case, stream| {
        let decoded = std::panic::catch_unwind(|| drop(decode_batch(stream)));
        assert!(decoded.is_ok(), "seed {seed}, case {case}: a panic was not caught");
    });
}

/// Calls `check` with `cases` damaged streams.
pub(crate) fn mutate(seed: u64, cases: u64, mut check: impl FnMut(u64, &[u8])) {
    let mut state = seed;
    let codecs = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)];
    let batches = batches();
    let streams: Vec<_> = batches.iter().flat_map(|(_, batch)| codecs.map(|codec| encoded(batch, codec))).collect();
    for case in 0..cases {
        let mut stream = streams[below(&mut state, streams.len())].clone();
        for _ in 0..=below(&mut state, 3) {
            damage(&mut state, &mut stream);
        }
        check(case, &stream);
    }
}

fn damage(state: &mut u64, stream: &mut Vec<u8>) {
    const LONGS: [i64; 14] =
        [0, 1, -1, -2, 7, 255, 65_536, 1 << 20, 1 << 28, 1 << 31, HUGE, i64::MAX, i64::MIN, i64::MAX >> 3];
    const INTS: [i32; 10] = [0, 1, -1, 4, 16, 4096, 1 << 20, 1 << 30, i32::MAX, i32::MIN];
    let Some(last) = stream.len().checked_sub(8) else { return };
    // Most of what lengths are made of is at multiples of 4 and 8.
    match below(state, 6) {
        0 => stream.truncate(below(state, last + 8)),
        1 => stream[below(state, last + 8)] ^= 1 << below(state, 8),
        2 => stream[below(state, last + 8)] = random_byte(state),
        3 => {
            let place = below(state, last / 4 + 1) * 4;
            stream[place..place + 4].copy_from_slice(&INTS[below(state, INTS.len())].to_le_bytes());
        }
        _ => {
            let place = below(state, last / 8 + 1) * 8;
            stream[place..place + 8].copy_from_slice(&LONGS[below(state, LONGS.len())].to_le_bytes());
        }
    }
}

/// The next number of a sequence (SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn random_byte(state: &mut u64) -> u8 {
    random(state).to_le_bytes()[0]
}

#[expect(clippy::cast_possible_truncation, reason = "less than end, which is a usize")]
fn below(state: &mut u64, end: usize) -> usize {
    (random(state) % end.max(1) as u64) as usize
}

fn text<T: std::fmt::Debug>(refused: Result<T, Malformed>) -> String {
    refused.unwrap_err().to_string()
}

fn numbers(len: i64) -> RecordBatch {
    RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(0..len)) as ArrayRef)]).unwrap()
}

fn encoded(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// The headers and bodies of a stream.
#[derive(Clone)]
struct Parts(Vec<(Vec<u8>, Vec<u8>)>);

impl Parts {
    fn of(mut stream: &[u8]) -> Self {
        let mut parts = Vec::new();
        loop {
            let len = u32::from_le_bytes(stream[4..8].try_into().unwrap()) as usize;
            if len == 0 {
                return Self(parts);
            }
            let (header, rest) = stream[8..].split_at(len);
            // A length of 0 is left out.
            let body = match slot(header, root(header), 3) {
                place if place == root(header) => 0,
                place => offset(header, place),
            };
            parts.push((header.to_vec(), rest[..body].to_vec()));
            stream = &rest[body..];
        }
    }

    /// Puts a number into the header of the last message.
    fn set(&mut self, place: usize, value: i64) {
        let (header, _) = self.0.last_mut().unwrap();
        header[place..place + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn check(&self) -> Result<(), Malformed> {
        let mut checker = Checker::default();
        self.0.iter().try_for_each(|(header, body)| checker.check(header, body))
    }
}

fn long(bytes: &[u8], place: usize) -> i64 {
    i64::from_le_bytes(bytes[place..place + 8].try_into().unwrap())
}

/// A [`long`] of a valid message that is an offset or a length.
fn offset(bytes: &[u8], place: usize) -> usize {
    long(bytes, place).try_into().unwrap()
}

fn int(bytes: &[u8], place: usize) -> usize {
    u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap()) as usize
}

fn short(bytes: &[u8], place: usize) -> usize {
    u16::from_le_bytes(bytes[place..place + 2].try_into().unwrap()).into()
}

fn root(header: &[u8]) -> usize {
    int(header, 0)
}

/// The place of field `n` of the flatbuffer table at `table`; `table` itself if it is left out.
fn slot(header: &[u8], table: usize, n: usize) -> usize {
    let fields = table.wrapping_sub_signed(i32::from_le_bytes(header[table..table + 4].try_into().unwrap()) as isize);
    if 4 + 2 * n < short(header, fields) { table + short(header, fields + 4 + 2 * n) } else { table }
}

/// The place of the table or vector that field `n` refers to.
fn vector(header: &[u8], table: usize, n: usize) -> usize {
    let place = slot(header, table, n);
    place + int(header, place)
}

/// The table of the batch in the header of a batch or a dictionary.
fn batch_table(header: &[u8]) -> usize {
    let table = vector(header, root(header), 2);
    if header[slot(header, root(header), 1)] == 2 { vector(header, table, 1) } else { table }
}

/// The places of the pairs of numbers in field `n` of the batch: 1 is its nodes, 2 its buffers.
fn entries(header: &[u8], n: usize) -> Vec<usize> {
    let vector = vector(header, batch_table(header), n);
    (0..int(header, vector)).map(|i| vector + 4 + 16 * i).collect()
}

/// A batch of each kind of type, with their names.
fn batches() -> Vec<(&'static str, RecordBatch)> {
    let item = |data_type| Arc::new(Field::new_list_field(data_type, true));
    let ints = Int32Array::from(vec![Some(1), None, Some(3), Some(4), None, Some(6)]);
    let words = StringArray::from(vec![Some("a"), None, Some("three"), Some(""), Some("five"), Some("six")]);
    let vectors =
        FixedSizeListArray::new(item(DataType::Float32), 2, Arc::new(Float32Array::from(vec![0.5; 12])), None);
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..6).map(|i| (i != 2).then(|| vec![Some(i); 3])));
    let mut nested = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    for row in 0..6 {
        nested.values().append_value([Some(row), None]);
        nested.append(row != 1);
    }
    let large =
        LargeListArray::new(item(DataType::Int32), OffsetBuffer::from_lengths([1; 6]), Arc::new(ints.clone()), None);
    let views = ListViewArray::new(
        item(DataType::Int32),
        ScalarBuffer::from(vec![0, 1, 2, 3, 4, 0]),
        ScalarBuffer::from(vec![1, 2, 1, 0, 2, 6]),
        Arc::new(ints.clone()),
        None,
    );
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int32, true)), Arc::new(ints.clone()) as ArrayRef),
        (Arc::new(Field::new("v", vectors.data_type().clone(), true)), Arc::new(vectors.clone()) as ArrayRef),
    ]);
    let mut texts = StringViewBuilder::new().with_fixed_block_size(64);
    let mut bytes = BinaryViewBuilder::new();
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    let mut runs = PrimitiveRunBuilder::<Int16Type, Int64Type>::new();
    let mut dense = UnionBuilder::new_dense();
    let mut sparse = UnionBuilder::new_sparse();
    for row in 0..6 {
        texts.append_option((row != 3).then(|| "a text longer than the inlined twelve bytes".repeat(row % 2)));
        bytes.append_value(vec![u8::try_from(row).unwrap(); 7 * row]);
        map.keys().append_value("key");
        map.values().append_value(row.try_into().unwrap());
        map.append(row != 4).unwrap();
        runs.append_value((row / 3) as i64);
        for union in [&mut dense, &mut sparse] {
            match row % 2 {
                0 => union.append::<Int32Type>("a", 1).unwrap(),
                _ => union.append::<Float64Type>("b", 0.5).unwrap(),
            }
        }
    }
    let tags: DictionaryArray<Int8Type> = ["x", "y", "x", "z", "x", "y"].into_iter().collect();
    let tagged = ListArray::new(
        item(tags.data_type().clone()),
        OffsetBuffer::from_lengths([1; 6]),
        Arc::new(tags.clone()),
        None,
    );
    let times = TimestampMicrosecondArray::from(vec![1; 6]).with_timezone("Europe/Berlin");
    let decimals = Decimal128Array::from(vec![1; 6]).with_precision_and_scale(20, 3).unwrap();
    let binary = FixedSizeBinaryArray::try_from_iter((0..6).map(|i| vec![i; 5])).unwrap();
    let repeated = Int64Array::from_iter_values((0..4096).map(|i| i % 7));
    let columns: Vec<(&'static str, ArrayRef)> = vec![
        ("int", Arc::new(ints)),
        ("utf8", Arc::new(words)),
        ("large utf8", Arc::new(LargeStringArray::from(vec!["a"; 6]))),
        ("bool", Arc::new(BooleanArray::from(vec![true; 6]))),
        ("vectors", Arc::new(vectors)),
        ("list", Arc::new(lists)),
        ("list of lists", Arc::new(nested.finish())),
        ("large list", Arc::new(large)),
        ("list view", Arc::new(views)),
        ("struct", Arc::new(structs)),
        ("utf8 view", Arc::new(texts.finish())),
        ("binary view", Arc::new(bytes.finish())),
        ("map", Arc::new(map.finish())),
        ("runs", Arc::new(runs.finish())),
        ("dense union", Arc::new(dense.build().unwrap())),
        ("sparse union", Arc::new(sparse.build().unwrap())),
        ("dictionary", Arc::new(tags)),
        ("list of a dictionary", Arc::new(tagged)),
        ("timestamp", Arc::new(times)),
        ("decimal", Arc::new(decimals)),
        ("fixed-size binary", Arc::new(binary)),
        ("interval", Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3); 6]))),
        ("null", new_null_array(&DataType::Null, 6)),
        ("repeated", Arc::new(repeated)),
    ];
    let all = RecordBatch::try_from_iter_with_nullable(
        columns.iter().filter(|(_, column)| column.len() == 6).map(|(name, column)| (*name, Arc::clone(column), true)),
    );
    let all = all.unwrap();
    // Arrow writes no runs as one of length 0, which it does not read.
    let mut no_rows = all.slice(0, 0);
    no_rows.remove_column(no_rows.schema().index_of("runs").unwrap());
    let mut batches = vec![("all", all.clone()), ("no rows", no_rows), ("a slice", all.slice(2, 3))];
    batches.extend(
        columns
            .into_iter()
            .map(|(name, column)| (name, RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap())),
    );
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    batches
        .push(("no columns", RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()));
    batches
}
