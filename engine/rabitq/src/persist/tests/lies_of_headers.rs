//! Headers and section tables with false contents under right checksums: the file is `Corrupt`.

use super::forgery::{Forgery, ivf};
use super::format::{FIXED_BYTES, SECTION_BYTES, SectionId};
use super::seal::seal;
use super::*;

#[test]
fn a_lying_header_is_corrupt_and_takes_no_memory() {
    let nan = f32::NAN.to_le_bytes();
    let huge = (u64::MAX / 2).to_le_bytes();
    let lies: [(usize, &[u8], &str); 13] = [
        (20, &[0; 4], "dimension is out of range: expected 1..=16384, got 0"),
        (20, &u32::MAX.to_le_bytes(), "dimension is out of range"),
        (20, &[64, 0, 0, 0], "section of the wrong length"),
        (24, &[128, 0, 0, 0], "field padded_dim, expected 64, got 128"),
        (28, &[65, 0, 0, 0], "too many sections: expected at most 64, got 65"),
        (28, &[6, 0, 0, 0], "checksum of the index file's header is wrong"),
        (32, &(u32::MAX - 1).to_le_bytes(), "section of the wrong length"),
        (32, &huge, "field num_vectors"),
        (56, &nan, "epsilon is out of range"),
        (56, &(-1.0_f32).to_le_bytes(), "epsilon is out of range"),
        (80, &[0; 8], "field number of lists, expected at least 1, got 0"),
        (80, &(u32::MAX - 1).to_le_bytes(), "section of the wrong length"),
        (80, &huge, "field number of lists"),
    ];
    for (offset, lie, expected) in lies {
        let mut file = ivf().put(offset, lie);
        if offset == 28 && lie[0] == 6 {
            // The table ends earlier: what follows is no checksum.
            file.bytes[FIXED_BYTES + 6 * SECTION_BYTES] ^= 1;
        }
        let message = file.message();
        assert!(message.contains(expected), "{offset}: {message}");
    }
    let message = Forgery::of(IndexKind::Rabitq).put(80, &[2]).message();
    assert!(message.contains("field number of lists, expected 1, got 2"), "{message}");
    let message = Forgery::of(IndexKind::RabitqPlus).put(80, &[0]).message();
    assert!(message.contains("field number of lists, expected at least 1, got 0"), "{message}");
    let message = Forgery::of(IndexKind::FlatF32).put(80, &[1]).message();
    assert!(message.contains("field number of lists, expected 0, got 1"), "{message}");
}

#[test]
fn a_lying_table_is_corrupt() {
    let file = ivf();
    let row = file.row(SectionId::Vectors);
    let lies: [(usize, &[u8], &str); 7] = [
        (row, &[1], "section out of place"),
        (row, &[9], "section out of place"),
        (row + 4, &[0], "wrong sections: section Vectors, expected one that is required, got one with flags 0"),
        (row + 8, &(u64::MAX - 63).to_le_bytes(), "section out of place"),
        (row + 16, &(u64::MAX / 2).to_le_bytes(), "section out of place"),
        (row + 16, &[0; 8], "section out of place"),
        (row + 28, &[1], "end of a section's row"),
    ];
    for (offset, lie, expected) in lies {
        let message = ivf().put(offset, lie).message();
        assert!(message.contains(expected), "{}: {message}", offset - row);
    }
    // Codes without originals where originals are asked for, and the reverse.
    let message = ivf().put(60, &[0]).message();
    assert!(message.contains("wrong sections: section Vectors, expected none"), "{message}");
    let mut bytes = small_file(IndexKind::RabitqAsym, false);
    bytes[60] = 1;
    seal(&mut bytes);
    assert_corrupt(&bytes, "no originals");
}
