//! The answer of a search: an id and a distance.

/// One answer of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Id of the vector.
    pub id: u64,
    /// The distance by the metric of the index, nearer is smaller: *squared* L2, the negated inner product, or one minus
    /// the cosine. Exact where the index keeps originals, else the estimate.
    pub distance: f32,
}
