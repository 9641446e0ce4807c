//! Reads arbitrary bytes as an index file: as they are, and with their checksums made right. No file may cause a panic, in
//! the reader or in the index that it is read into.
//!
//! `cargo +nightly fuzz run read_index_file fuzz/corpus/read_index_file tests/golden` starts from the golden files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ruvector_rabitq::{SearchParams, persist::load_bytes};

#[path = "../../src/persist/tests/seal.rs"]
mod seal;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let mut sealed = bytes.to_vec();
    seal::seal(&mut sealed);
    read(&sealed);
});

fn read(bytes: &[u8]) {
    let Ok(mut index) = load_bytes(bytes) else { return };
    let query = vec![0.5; index.dim().get()];
    index.search(&query, &SearchParams::new(3)).expect("a query of finite numbers");
    index.range_search(&query, 1.0, None).expect("a query of finite numbers");
    if let Some(&id) = index.ids().first() {
        index.remove(&[id]);
        index.add(id, &query).expect("the id is free again");
    }
}
