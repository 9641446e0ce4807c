//! A forged checksum gets a file past the first check; what it says must still be impossible to act on.

use super::format::{FIXED_BYTES, SECTION_BYTES, SectionId};
use super::seal::{number, seal};
use super::*;

/// A file that is changed and then sealed again.
pub(super) struct Forgery {
    pub(super) bytes: Vec<u8>,
}

impl Forgery {
    pub(super) fn of(kind: IndexKind) -> Self {
        Self { bytes: small_file(kind, true) }
    }

    /// Position of a section in the file.
    pub(super) fn section(&self, id: SectionId) -> usize {
        number(&self.bytes, self.row(id) + 8, 8) as usize
    }

    /// Position in the file of a section's row of the table.
    pub(super) fn row(&self, id: SectionId) -> usize {
        let num_sections = number(&self.bytes, 28, 4) as usize;
        let mut rows = (0..num_sections).map(|i| FIXED_BYTES + i * SECTION_BYTES);
        rows.find(|&row| number(&self.bytes, row, 4) == id as u64).unwrap()
    }

    pub(super) fn put(mut self, offset: usize, bytes: &[u8]) -> Self {
        assert_ne!(&self.bytes[offset..][..bytes.len()], bytes, "a lie differs from the truth");
        self.bytes[offset..][..bytes.len()].copy_from_slice(bytes);
        seal(&mut self.bytes);
        self
    }

    pub(super) fn put_in(self, id: SectionId, offset: usize, bytes: &[u8]) -> Self {
        let start = self.section(id);
        self.put(start + offset, bytes)
    }

    /// The message of the error that it is, also where it is mapped.
    pub(super) fn message(&self) -> String {
        let error = load_error(&self.bytes).expect("a lie");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &self.bytes).unwrap();
        let mapped = load_mapped(file.path()).unwrap_err();
        assert!(mapped.to_string().starts_with(&error.to_string()), "{mapped}");
        error.to_string()
    }
}

pub(super) fn ivf() -> Forgery {
    Forgery::of(IndexKind::IvfRabitq)
}

/// The entry of the directory of the first list that has `num_vectors` or more.
pub(super) fn entry(file: &Forgery, num_vectors: u64) -> usize {
    let start = file.section(SectionId::Directory);
    (0..3).map(|list| start + 24 * list).find(|&entry| number(&file.bytes, entry + 8, 4) >= num_vectors).unwrap()
}

/// Position of the range of the first list that has `num_vectors` or more.
pub(super) fn range(file: &Forgery, num_vectors: u64) -> usize {
    file.section(SectionId::Lists) + number(&file.bytes, entry(file, num_vectors), 8) as usize
}

#[test]
fn sealing_changes_nothing_of_a_file_that_is_right() {
    for (kind, keep_originals) in VARIANTS {
        let bytes = small_file(kind, keep_originals);
        let mut sealed = bytes.clone();
        seal(&mut sealed);
        assert!(sealed == bytes, "{kind}, originals {keep_originals}");
    }
}
