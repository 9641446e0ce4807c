//! Run-length and bit-packing hybrid: the encoding of levels, and of the numbers of dictionary entries.
//!
//! Source: `Encodings.md` of apache/parquet-format, "Run Length Encoding / Bit-Packing Hybrid". Runs are not
//! expanded: the levels of a column of equally long vectors are known from a few runs, at any number of vectors.

use super::malformed::Malformed;

/// A run of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Run<'a> {
    Repeated { value: u32, len: usize },
    Packed { bytes: &'a [u8], len: usize },
}

/// The runs of `left` numbers of `width` bits each.
#[derive(Clone, Debug)]
pub(super) struct Runs<'a> {
    bytes: &'a [u8],
    width: usize,
    left: usize,
}

impl<'a> Runs<'a> {
    pub(super) fn new(bytes: &'a [u8], width: usize, num_values: usize) -> Self {
        Self { bytes, width, left: num_values }
    }

    fn run(&mut self) -> Result<Run<'a>, Malformed> {
        let header = self.varint()?;
        let len = usize::try_from(header >> 1).map_err(|_| Malformed("a run is too long"))?;
        let run = if header & 1 == 0 {
            let (value, rest) = self.bytes.split_at_checked(self.width.div_ceil(8)).ok_or(TRUNCATED)?;
            self.bytes = rest;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            Run::Repeated { value, len: len.min(self.left) }
        } else {
            let num_values = len.checked_mul(8).ok_or(Malformed("a run is too long"))?;
            let (len, whole) = (num_values.min(self.left), num_values / 8 * self.width);
            // Some writers end with the last byte that is needed, not with the last of the group.
            let bytes = self.bytes.get(..(len * self.width).div_ceil(8)).ok_or(TRUNCATED)?;
            self.bytes = self.bytes.get(whole..).unwrap_or_default();
            Run::Packed { bytes, len }
        };
        match run {
            Run::Repeated { len: 0, .. } | Run::Packed { len: 0, .. } => Err(Malformed("a run is empty")),
            Run::Repeated { len, .. } | Run::Packed { len, .. } => {
                self.left -= len;
                Ok(run)
            }
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.bytes.split_first().ok_or(TRUNCATED)?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a run is too long"))
    }
}

const TRUNCATED: Malformed = Malformed("runs end too early");

impl<'a> Iterator for Runs<'a> {
    type Item = Result<Run<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let run = self.run();
        if run.is_err() {
            self.left = 0;
        }
        Some(run)
    }
}

/// Calls `each` with the `len` numbers of `width` bits (32 at most) in `bytes`.
pub(super) fn unpack(bytes: &[u8], width: usize, len: usize, mut each: impl FnMut(u32)) {
    let mask = (1_u64 << width) - 1;
    for i in 0..len {
        let (first, shift) = (i * width / 8, i * width % 8);
        let mut word = [0; 8];
        match bytes.get(first..first + 8) {
            Some(whole) => word.copy_from_slice(whole),
            None => {
                let rest = bytes.get(first..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left")]
        each((u64::from_le_bytes(word) >> shift & mask) as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_are_unpacked() {
        for width in 0..=32 {
            let values: Vec<u32> = (0..37_u32)
                .map(|i| u64::from(i.wrapping_mul(0x9e37_79b9)) & ((1 << width) - 1))
                .map(|value| u32::try_from(value).unwrap())
                .collect();
            let mut bytes = vec![0_u8; (37_usize * width).div_ceil(8)];
            for (i, value) in values.iter().enumerate() {
                for bit in 0..width {
                    bytes[(i * width + bit) / 8] |=
                        u8::try_from((value >> bit & 1) << ((i * width + bit) % 8)).unwrap();
                }
            }
            let mut got = Vec::new();
            unpack(&bytes, width, 37, |value| got.push(value));
            assert_eq!(got, values, "width {width}");
        }
    }

    #[test]
    fn runs_are_read_and_what_is_torn_is_refused() {
        // 300 times 1, then 0b10110101 of 8.
        let bytes = [0xd8, 0x04, 1, 3, 0b1011_0101];
        let read = |bytes: &'static [u8], num_values| Runs::new(bytes, 1, num_values).collect::<Result<Vec<_>, _>>();
        let bytes: &'static [u8] = Vec::from(bytes).leak();
        let packed = |len| Run::Packed { bytes: &[0b1011_0101], len };
        assert_eq!(read(bytes, 308).unwrap(), [Run::Repeated { value: 1, len: 300 }, packed(8)]);
        assert_eq!(read(bytes, 303).unwrap(), [Run::Repeated { value: 1, len: 300 }, packed(3)]);
        assert_eq!(read(bytes, 10).unwrap(), [Run::Repeated { value: 1, len: 10 }]);
        assert!(read(bytes, 309).is_err());
        assert!(read(&bytes[..4], 308).is_err());
        assert!(read(&[0xff; 11], 8).is_err());
        assert!(read(&[0, 1], 8).is_err());
    }
}
