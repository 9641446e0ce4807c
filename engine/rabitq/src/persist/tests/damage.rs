//! Damaged files: every truncation, every flipped byte and every swap of two bytes is refused.

use super::*;

#[test]
fn every_truncation_is_corrupt() {
    for (kind, keep_originals) in VARIANTS {
        let bytes = small_file(kind, keep_originals);
        for len in 0..bytes.len() {
            assert_corrupt(&bytes[..len], &format!("{kind} cut at {len}"));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_corrupt(&longer, &format!("{kind} with a byte more"));
    }
}

/// The reader need not trust the length of a file that is still being written.
#[test]
fn a_file_that_shrinks_while_it_is_read_is_corrupt() {
    let bytes = small_file(IndexKind::IvfRabitq, true);
    for len in 0..bytes.len() {
        let error = reader::read(&&bytes[..len], bytes.len() as u64).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {len}: {error}");
    }
}

#[test]
fn every_flipped_byte_is_an_error() {
    for (kind, keep_originals) in VARIANTS {
        let bytes = small_file(kind, keep_originals);
        for i in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut flipped = bytes.clone();
                flipped[i] ^= flip;
                let error = load_error(&flipped).unwrap_or_else(|| panic!("{kind} byte {i} ^ {flip:#x}: loaded"));
                // The header of another major version cannot be read as far as its checksum.
                let expected = if i == 8 || i == 9 { ErrorKind::NotSupported } else { ErrorKind::Corrupt };
                assert_eq!(error.kind(), expected, "{kind} byte {i} ^ {flip:#x}: {error}");
            }
        }
    }
}

#[test]
fn two_swapped_bytes_are_corrupt() {
    let bytes = small_file(IndexKind::IvfRabitq, true);
    let mut random = Random::new(SEED);
    for _ in 0..2000 {
        let (i, j) = (random.below(bytes.len()), random.below(bytes.len()));
        let mut swapped = bytes.clone();
        swapped.swap(i, j);
        if swapped != bytes {
            assert!(load_error(&swapped).is_some(), "bytes {i} and {j} swapped, seed {SEED}");
        }
    }
}
