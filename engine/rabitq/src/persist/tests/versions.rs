//! Files of other versions: another major version is refused, and additions of a later minor version are skipped unless they
//! are required.

use super::forgery::{entry, ivf};
use super::format::{Section, header_len};
use super::seal::seal;
use super::*;

#[test]
fn another_major_version_is_not_supported() {
    for (major, got) in [(1, "1.0"), (3, "3.0")] {
        let mut bytes = small_file(IndexKind::FlatF32, true);
        bytes[8] = major;
        let error = load_error(&bytes).unwrap();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert_eq!(error.to_string(), format!("index file has another major version: expected 2, got {got}"));
    }
}

#[test]
fn what_a_later_version_added_is_skipped_unless_it_is_required() {
    for flags in [0, 1] {
        let bytes = with_section(&small_file(IndexKind::IvfRabitq, true), flags);
        let loaded = load_bytes(&bytes);
        if flags == 0 {
            assert_eq!(loaded.unwrap().len(), 5);
        } else {
            let error = loaded.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotSupported);
            assert_eq!(error.to_string(), "index file needs a later version: unknown section 99");
        }
    }
    // Kinds, metrics and flags of later versions.
    for (offset, lie) in [(16, 6), (18, 4), (60, 3), (entry(&ivf(), 0) + 16, 3)] {
        let error = load_error(&ivf().put(offset, &[lie]).bytes).unwrap();
        assert_eq!(error.kind(), ErrorKind::NotSupported, "{offset}: {error}");
    }
    // A later minor version alone says nothing.
    assert!(load_bytes(&ivf().put(10, &[7]).bytes).is_ok());
}

/// The file with one more section, of 100 bytes, at its end, and the minor version it came with.
fn with_section(bytes: &[u8], flags: u32) -> Vec<u8> {
    let mut head = header::Header::from_bytes(&bytes[..header_len(7)]).unwrap();
    let added = header_len(8).next_multiple_of(64) - header_len(7).next_multiple_of(64);
    head.sections.iter_mut().for_each(|section| section.offset += added as u64);
    let end = bytes.len() + added;
    let offset = end.next_multiple_of(64);
    head.sections.push(Section { id: 99, flags, offset: offset as u64, len: 100, crc: 0 });
    head.file_len = offset as u64 + 100;
    let mut file = head.to_bytes();
    file.resize(header_len(8).next_multiple_of(64), 0);
    file.extend(&bytes[header_len(7).next_multiple_of(64)..]);
    file.resize(offset, 0);
    file.resize(offset + 100, 7);
    file[10] = 1;
    seal(&mut file);
    file
}
