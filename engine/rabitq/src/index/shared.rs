//! An index with several owners: a boxed index goes in, handles to it come out. A change through one handle copies the index
//! if another handle exists.

use std::sync::Arc;

use super::core::Core;
use super::vector_index::VectorIndex;

/// An index that several own, of whatever kind. A change to one of them is a change to a copy.
#[derive(Clone, Debug)]
pub struct SharedIndex(Arc<Box<dyn VectorIndex>>);

impl From<Box<dyn VectorIndex>> for SharedIndex {
    fn from(index: Box<dyn VectorIndex>) -> Self {
        Self(Arc::new(index))
    }
}

impl VectorIndex for SharedIndex {
    fn core(&self) -> &Core {
        self.0.core()
    }

    fn core_mut(&mut self) -> &mut Core {
        Arc::make_mut(&mut self.0).core_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{BuildParams, FlatF32Index};
    use crate::vector::{Dim, VectorBatch};

    #[test]
    fn a_change_to_one_owner_is_not_one_to_the_other() {
        let vectors = VectorBatch::new(Dim::new(2).unwrap(), &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let index = FlatF32Index::build(None, vectors, &BuildParams::default(), None).unwrap();
        let one = SharedIndex::from(Box::new(index) as Box<dyn VectorIndex>);
        let mut other = one.clone();
        assert_eq!(one.vectors().unwrap().as_ptr(), other.vectors().unwrap().as_ptr());
        assert_eq!(other.remove(&[0]), 1);
        assert_eq!((one.len(), other.len()), (2, 1));
    }
}
