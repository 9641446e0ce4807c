//! Levels of a page of lists: encoded levels go in; list starts, definition levels and the number of values come out.

use super::malformed::Malformed;
use super::run_length::{Run, Runs, unpack};

/// Meaning of the definition levels of a column of lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListLevels {
    /// Level of an item that is not NULL.
    pub(super) item: u8,
    /// Lowest level of an item or of a NULL in its place. Levels below are those of an empty list or a NULL list.
    pub(super) in_list: u8,
    /// True if lists may be NULL, which is level 0.
    pub(super) nullable: bool,
}

impl ListLevels {
    fn width(self) -> usize {
        (u8::BITS - self.item.leading_zeros()) as usize
    }
}

/// The levels of a page.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) num_levels: usize,
    /// The levels at which a list begins. Those before belong to a list that began on a page before.
    pub(super) starts: Vec<u32>,
    /// The definition levels, or `None` if every one is an item that is there.
    pub(super) definitions: Option<Vec<u8>>,
    /// The items that are there.
    pub(super) num_values: usize,
}

impl Levels {
    pub(super) fn read(
        repetition: &[u8],
        definition: &[u8],
        num_levels: usize,
        levels: ListLevels,
    ) -> Result<Self, Malformed> {
        let starts = starts(repetition, num_levels)?;
        let definitions = definitions(definition, num_levels, levels)?;
        let num_values = match &definitions {
            None => num_levels,
            Some(definitions) => definitions.iter().filter(|level| **level == levels.item).count(),
        };
        Ok(Self { num_levels, starts, definitions, num_values })
    }
}

/// The positions of the repetition levels that are 0.
fn starts(bytes: &[u8], num_levels: usize) -> Result<Vec<u32>, Malformed> {
    let mut starts = Vec::new();
    let mut at = 0_u32;
    for run in Runs::new(bytes, 1, num_levels) {
        let len = match run? {
            Run::Repeated { value: 0, len } => {
                starts.extend(at..at + small(len)?);
                len
            }
            Run::Repeated { len, .. } => len,
            Run::Packed { bytes, len } => {
                for (word, position) in bytes.chunks(8).zip((0_u32..).step_by(64)) {
                    let mut bits = [0xff; 8];
                    bits[..word.len()].copy_from_slice(word);
                    let mut zeros = !u64::from_le_bytes(bits);
                    while zeros != 0 {
                        let position = position + zeros.trailing_zeros();
                        if (position as usize) < len {
                            starts.push(at + position);
                        }
                        zeros &= zeros - 1;
                    }
                }
                len
            }
        };
        at = at.checked_add(small(len)?).ok_or(Malformed("a page has too many levels"))?;
    }
    Ok(starts)
}

fn small(len: usize) -> Result<u32, Malformed> {
    u32::try_from(len).map_err(|_| Malformed("a page has too many levels"))
}

/// The definition levels, or `None` if every one is an item.
fn definitions(bytes: &[u8], num_levels: usize, levels: ListLevels) -> Result<Option<Vec<u8>>, Malformed> {
    let width = levels.width();
    let mut all_items = true;
    for run in Runs::new(bytes, width, num_levels) {
        all_items &= match run? {
            Run::Repeated { value, .. } => value == u32::from(levels.item),
            Run::Packed { bytes, len } => {
                let mut all = true;
                unpack(bytes, width, len, |value| all &= value == u32::from(levels.item));
                all
            }
        };
        if !all_items {
            break;
        }
    }
    if all_items {
        return Ok(None);
    }
    let mut definitions = Vec::with_capacity(num_levels);
    let level = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    for run in Runs::new(bytes, width, num_levels) {
        match run? {
            Run::Repeated { value, len } => definitions.resize(definitions.len() + len, level(value)),
            Run::Packed { bytes, len } => unpack(bytes, width, len, |value| definitions.push(level(value))),
        }
    }
    match definitions.iter().all(|level| *level <= levels.item) {
        true => Ok(Some(definitions)),
        false => Err(Malformed("a definition level is above the highest")),
    }
}
