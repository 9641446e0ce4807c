//! A witness-sealed cache over vectors wherever they live.
