//! Gaps, sections, directories and lists with false contents under right checksums: the file is `Corrupt`.

use super::forgery::{Forgery, entry, ivf, range};
use super::format::{SectionId, header_len};
use super::seal::number;
use super::*;

#[test]
fn bytes_in_gaps_are_corrupt() {
    let file = ivf();
    let start = file.section(SectionId::Vectors);
    assert!(file.put(start - 1, &[1]).message().contains("bytes in a gap"));
    // A list of one vector ends with its member, 4 bytes, after a row of 44: not at a multiple of 64.
    let file = ivf();
    let next =
        file.section(SectionId::Lists) + number(&file.bytes, file.section(SectionId::Directory) + 24, 8) as usize;
    assert!(file.put(next - 1, &[1]).message().contains("bytes in a gap"));
}

#[test]
fn lying_sections_are_corrupt() {
    let nan: &[u8] = &f32::NAN.to_le_bytes();
    let infinite: &[u8] = &f32::INFINITY.to_le_bytes();
    let lies: [(SectionId, usize, &[u8], &str); 12] = [
        (SectionId::Vectors, 16, nan, "component that is not finite: row 1, component 1"),
        (SectionId::Vectors, 0, infinite, "component that is not finite: row 0, component 0"),
        (SectionId::Origin, 8, nan, "component that is not finite: row 0, component 2"),
        (SectionId::Centroids, 0, &[0; 4], "step that cannot be: expected a positive, finite number, got 0"),
        (SectionId::Centroids, 0, nan, "step that cannot be"),
        (SectionId::Centroids, 0, infinite, "step that cannot be"),
        (SectionId::Centroids, 3, &[0xBF], "step that cannot be"),
        (SectionId::Centroids, 70, &[0x80], "centroid that cannot be: expected coordinates in -127..=127, got -128"),
        (SectionId::Attributes, 0, &[3], "ends within a field"),
        (SectionId::Attributes, 0, &[1], "bytes after its attributes"),
        (SectionId::Attributes, 4, &[255, 255], "ends within a field"),
        (SectionId::Attributes, 8, b"z", "attributes out of order"),
    ];
    for (section, offset, lie, expected) in lies {
        let message = ivf().put_in(section, offset, lie).message();
        assert!(message.contains(expected), "{section:?} {offset}: {message}");
    }
    let message = ivf().put_in(SectionId::Attributes, 8, &[0xFF]).message();
    assert!(message.contains("not UTF-8"), "{message}");
    // Two equal ids.
    let file = ivf();
    let ids = file.section(SectionId::Ids);
    let first: [u8; 8] = file.bytes[ids..][..8].try_into().unwrap();
    assert!(file.put_in(SectionId::Ids, 16, &first).message().contains("two vectors have one id"));
    // An origin where there is none.
    let bytes = bytes_of(build(IndexKind::Rabitq, &params(Metric::Cosine, false), 3, 5, IdOrder::None).as_ref());
    let message = Forgery { bytes }.put_in(SectionId::Origin, 3, &[0x40]).message();
    assert!(message.contains("origin that cannot be: expected 0, got 2"), "{message}");
}

#[test]
fn a_lying_directory_is_corrupt() {
    let file = ivf();
    let first = entry(&file, 0);
    let lies: [(usize, &[u8], &str); 9] = [
        (first, &[64], "list 0, field offset, expected 0, got 64"),
        (first + 24, &[0; 2], "list 1, field offset"),
        (first + 24, &u64::MAX.to_le_bytes(), "list 1, field offset"),
        (first + 8, &u32::MAX.to_le_bytes(), "lists of another number of vectors: expected 5"),
        (first + 48 + 8, &[0, 0, 0, 1], "lists of another number of vectors: expected 5"),
        (first + 12, &f32::NAN.to_le_bytes(), "list 0, field radius"),
        (first + 12, &(-1.0_f32).to_le_bytes(), "list 0, field radius"),
        (first + 24 + 16, &[0], "list 1, field flags"),
        (first + 8, &[0], "field offset"),
    ];
    for (offset, lie, expected) in lies {
        let message = ivf().put(offset, lie).message();
        assert!(message.contains(expected), "{}: {message}", offset - first);
    }
    // Only the checksum of the list is wrong: those of the sections are made right again.
    let mut bytes = ivf().bytes;
    bytes[first + 20] ^= 1;
    let directory = ivf().row(SectionId::Directory);
    let crc = crc32fast::hash(&bytes[first..first + 72]).to_le_bytes();
    bytes[directory + 24..][..4].copy_from_slice(&crc);
    let end = header_len(7) - 4;
    let crc = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..][..4].copy_from_slice(&crc);
    assert!(Forgery { bytes }.message().contains("checksum of a list of the index file is wrong"));
}

#[test]
fn a_lying_list_is_corrupt() {
    let file = ivf();
    let (start, num_vectors) = (range(&file, 1), number(&file.bytes, entry(&file, 1) + 8, 4) as usize);
    let (factors, rows) = (start + 256, start + 256 + 384);
    let members = rows + num_vectors * 44;
    let member = number(&file.bytes, members, 4);
    let nan: &[u8] = &f32::NAN.to_le_bytes();
    let other_row = ((member + 1) % 5) as u8;
    let lies: [(usize, &[u8], &str); 8] = [
        (factors, nan, "factors that cannot be"),
        (factors + 128, &f32::INFINITY.to_le_bytes(), "factors that cannot be"),
        (factors + 256, nan, "factors that cannot be"),
        (factors + 31 * 4, &[1], "code beyond its last vector: expected zeros, slot 31"),
        (start + 64 + 15 * 4, &[1], "code beyond its last vector: expected zeros, slot 31"),
        (rows + 32 + 8, nan, "factors that cannot be"),
        (members, &[5], "members cannot be: expected each row below 5 once, got 5"),
        (members, &[other_row], "members cannot be: expected each row below 5 once"),
    ];
    for (offset, lie, expected) in lies {
        let message = ivf().put(offset, lie).message();
        assert!(message.contains(expected), "{}: {message}", offset - start);
    }
}
