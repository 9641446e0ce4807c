//! Assembly of an index from its file: the header and the contents of the sections go in, a [`Core`] with checked parts comes
//! out.

use super::header::{Header, impossible};
use crate::code::{Centroids, Quantizer};
use crate::error::{Error, Result};
use crate::index::{Attributes, Core, Ids, IndexKind, List, Lists, Originals, Values};
use crate::metric::Metric;
use crate::vector::VectorBatch;

/// The contents of the sections.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) ids: Option<Vec<u64>>,
    pub(super) vectors: Values,
    /// True if the vectors are known to be finite, and within the limit of the metric.
    pub(super) vectors_fit: bool,
    pub(super) origin: Vec<f32>,
    step: f32,
    centroids: Vec<i8>,
    pub(super) lists: Vec<List>,
    pub(super) attributes: Attributes,
}

impl Parts {
    /// Takes the section of centroids: the step, then whole rows.
    pub(super) fn set_centroids(&mut self, bytes: &[u8]) -> Result<()> {
        let (step, rows) = bytes.split_first_chunk().ok_or_else(|| Error::corrupt("index file has no centroids"))?;
        self.step = f32::from_le_bytes(*step);
        // The inverse is taken to round coordinates.
        if !(self.step > 0.0 && self.step.is_finite()) {
            return Err(Error::corrupt("index file has centroids with a step that cannot be")
                .with("expected", "a positive, finite number")
                .with("got", self.step));
        }
        self.centroids = rows.iter().map(|&byte| byte as i8).collect();
        if self.centroids.contains(&i8::MIN) {
            return Err(Error::corrupt("index file has a centroid that cannot be")
                .with("expected", "coordinates in -127..=127")
                .with("got", i8::MIN));
        }
        Ok(())
    }

    /// Makes an index of what a checked header and checked lists belong to.
    pub(super) fn into_core(self, header: Header) -> Result<Core> {
        let Header { kind, params, dim, num_vectors, .. } = header;
        let ids = Ids::new(self.ids, num_vectors as usize).map_err(impossible)?;
        if !self.vectors_fit {
            let vectors = VectorBatch::new(dim, &self.vectors).map_err(impossible)?;
            vectors.check_fit(params.metric).map_err(impossible)?;
        }
        let originals = kind.keeps_originals(&params).then(|| Originals::new(params.metric, dim, self.vectors));
        let lists = match kind {
            IndexKind::FlatF32 => None,
            _ => {
                VectorBatch::new(dim, &self.origin).map_err(impossible)?;
                check_origin(params.metric, &self.origin)?;
                let quantizer = Quantizer::from_parts(params.metric, dim, params.seed, self.origin);
                let centroids = Centroids::new(quantizer.padded_dim(), self.step, self.centroids);
                Some(Lists::from_parts(quantizer, centroids, self.lists))
            }
        };
        Ok(Core { kind, params, dim, ids, originals, lists, attributes: self.attributes })
    }
}

/// Only with L2 codes are relative to a place of their own.
fn check_origin(metric: Metric, origin: &[f32]) -> Result<()> {
    match origin.iter().find(|value| value.to_bits() != 0) {
        Some(value) if metric != Metric::L2 => {
            Err(Error::corrupt("index file has an origin that cannot be").with("expected", 0).with("got", value))
        }
        _ => Ok(()),
    }
}
