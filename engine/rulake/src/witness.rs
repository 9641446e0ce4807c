//! Generation: the token of a collection's state. Witness: the digest that seals an index of that state.
//!
//! The witness is SHAKE-256 (32 bytes, lower-case hex) over data_ref, dim, rotation_seed, rerank_factor and generation,
//! domain-separated and length-prefixed; integers are little-endian `u64`. It equals the one of bundle format version 2
//! as published by `ruvector-rulake` 2.3.0.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha3::digest::{ExtendableOutput, Update, XofReader};

/// Name of this process, unlike that of any other. It qualifies counters that mean nothing to another process.
pub(crate) static PROCESS: LazyLock<String> = LazyLock::new(|| uuid::Uuid::new_v4().simple().to_string());

/// A backend's token of a collection's state. Equal tokens of one collection mean equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Generation {
    /// A counter. Counters of in-memory backends mean nothing to another process.
    Number(u64),
    /// A text: the id and version of a Delta table, a digest of a listing.
    Opaque(String),
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Opaque(token) => f.write_str(token),
        }
    }
}

/// Returns the witness of the named state, as 64 hex digits.
pub fn witness(
    data_ref: &str,
    dim: usize,
    rotation_seed: u64,
    rerank_factor: usize,
    generation: &Generation,
) -> String {
    let length = |n: usize| (n as u64).to_le_bytes();
    let mut hasher = sha3::Shake256::default();
    hasher.update(b"rulake-bundle-witness-v1|");
    hasher.update(&length(data_ref.len()));
    hasher.update(data_ref.as_bytes());
    hasher.update(b"|");
    hasher.update(&length(dim));
    hasher.update(&rotation_seed.to_le_bytes());
    hasher.update(&length(rerank_factor));
    hasher.update(b"|");
    // The tag keeps a counter and a string of the same bytes apart.
    match generation {
        Generation::Number(number) => {
            hasher.update(&length(9));
            hasher.update(&[0]);
            hasher.update(&number.to_le_bytes());
        }
        Generation::Opaque(token) => {
            hasher.update(&length(1 + token.len()));
            hasher.update(&[1]);
            hasher.update(token.as_bytes());
        }
    }
    let mut digest = [0; 32];
    hasher.finalize_xof().read(&mut digest);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by `ruvector-rulake` 2.3.0.
    #[test]
    fn equals_the_published_format() {
        assert_eq!(
            witness("gs://bucket/x.parquet", 128, 42, 20, &Generation::Number(7)),
            "7eac1775d1f76a4db88672655fc64977287ec60eda47c6df3a19bacfd0c038cd"
        );
        assert_eq!(
            witness("gs://bucket/x.parquet", 128, 42, 20, &Generation::Opaque("abc@7".into())),
            "0455a1388fbccc7cc65ae1818251055268fc1da0749c1fe1fd8b5393d2c5d46d"
        );
    }

    #[test]
    fn every_field_counts() {
        let base = witness("a", 3, 42, 20, &Generation::Number(1));
        for other in [
            witness("b", 3, 42, 20, &Generation::Number(1)),
            witness("a", 4, 42, 20, &Generation::Number(1)),
            witness("a", 3, 43, 20, &Generation::Number(1)),
            witness("a", 3, 42, 21, &Generation::Number(1)),
            witness("a", 3, 42, 20, &Generation::Number(2)),
            witness("a", 3, 42, 20, &Generation::Opaque("\u{1}\0\0\0\0\0\0\0".into())),
        ] {
            assert_ne!(base, other);
        }
    }
}
