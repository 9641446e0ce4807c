//! Scalar functions over vectors. One file per SQL name or family.

/// `l2_distance`, `cosine_distance`, `inner_product`.
pub(crate) mod distance;
/// `embed`.
pub(crate) mod embed;
