//! Conformance of errors: wrong searches, builds and changes are refused with the right message, and change nothing.

use super::{Case, Suite, assert_same, everywhere};
use crate::error::{Error, ErrorKind};
use crate::index::{BuildParams, SearchParams, VectorIndex};
use crate::metric::Metric;
use crate::vector::{Dim, VectorBatch};

impl Suite {
    pub(super) fn refuses_what_is_wrong(&self) {
        self.refuses_searches();
        self.refuses_builds();
    }

    fn refuses_searches(&self) {
        let vectors = VectorBatch::new(Dim::new(3).unwrap(), &[1.0; 9]).unwrap();
        let index = self.kind.build(None, vectors, &self.params(Metric::L2), None).unwrap();
        let one = SearchParams::new(1);
        let search = |query: &[f32], params: SearchParams<'_>| index.search(query, &params).unwrap_err();
        let no_k = "k is out of range: expected at least 1, got 0";
        assert_invalid(&search(&[0.0; 3], SearchParams::new(0)), no_k);
        let no_nprobe = "nprobe is out of range: expected at least 1, got 0";
        assert_invalid(&search(&[0.0; 3], one.with_nprobe(0)), no_nprobe);
        assert_invalid(&search(&[0.0; 4], one), "query has the wrong dimension: expected 3, got 4");
        assert_invalid(&search(&[], one), "query has the wrong dimension: expected 3, got 0");
        for (bad, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            let message =
                format!("query has a component that is not finite: component 1, expected a finite number, got {name}");
            assert_invalid(&search(&[0.0, bad, 0.0], one), &message);
            assert_invalid(&index.range_search(&[0.0, bad, 0.0], 1.0, None).unwrap_err(), &message);
        }
        let error = index.range_search(&[0.0; 2], 1.0, None).unwrap_err();
        assert_invalid(&error, "query has the wrong dimension: expected 3, got 2");

        let batch = |dim, params| {
            let values = [0.0; 12];
            let queries = VectorBatch::new(Dim::new(dim).unwrap(), &values).unwrap();
            index.search_batch(queries, &params).unwrap_err()
        };
        assert_invalid(&batch(4, one), "queries have the wrong dimension: expected 3, got 4");
        assert_invalid(&batch(3, SearchParams::new(0)), no_k);
        assert_invalid(&batch(3, one.with_nprobe(0)), no_nprobe);
    }

    fn refuses_builds(&self) {
        let params = self.params(Metric::L2);
        let build = |ids: &[u64], params: &BuildParams| {
            let vectors = VectorBatch::new(Dim::new(3).unwrap(), &[1.0; 9]).unwrap();
            self.kind.build(Some(ids), vectors, params, None).unwrap_err()
        };
        assert_invalid(&build(&[5, 6, 5], &params), "two vectors have one id: id 5, row 0, and row 2");
        assert_invalid(&build(&[5, 5, 6], &params), "two vectors have one id: id 5, row 0, and row 1");
        let lengths = "number of ids differs from number of vectors: expected 3, got 2";
        assert_invalid(&build(&[5, 6], &params), lengths);
        let ids = [5, 6, 7];
        let message = "nlist is out of range: expected at least 1, got 0";
        assert_invalid(&build(&ids, &params.clone().with_nlist(0)), message);
        let message = "nprobe is out of range: expected at least 1, got 0";
        assert_invalid(&build(&ids, &params.clone().with_nprobe(0)), message);
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            let message = format!("epsilon is out of range: expected a finite number, at least 0, got {bad}");
            assert_invalid(&build(&ids, &params.clone().with_epsilon(bad)), &message);
        }
    }

    pub(super) fn refused_changes_change_nothing(&self) {
        let case = Case::new(Metric::Cosine, 3, 50);
        let mut index = self.build(&case);
        let query = [0.3, -0.2, 0.9];
        let answers = |index: &dyn VectorIndex| index.search(&query, &everywhere(index, 100)).unwrap();
        let (before, bytes) = (answers(index.as_ref()), index.memory_bytes());
        let taken = case.ids[7];

        let batch = |ids: &[u64], dim, index: &mut dyn VectorIndex| {
            let values = [1.0; 12];
            let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &values[..ids.len().min(2) * dim]).unwrap();
            index.add_batch(ids, vectors).unwrap_err()
        };
        let error = batch(&[900, taken], 3, index.as_mut());
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{self}");
        assert_eq!(error.to_string(), format!("the index has a vector of this id: id {taken}"));
        assert_invalid(&batch(&[900, 900], 3, index.as_mut()), "two vectors have one id: id 900");
        let lengths = "number of ids differs from number of vectors: expected 2, got 3";
        assert_invalid(&batch(&[900, 901, 902], 3, index.as_mut()), lengths);
        let wrong_dim = "vectors have the wrong dimension: expected 3, got 4";
        assert_invalid(&batch(&[900, 901], 4, index.as_mut()), wrong_dim);

        assert_eq!(index.add(taken, &[1.0; 3]).unwrap_err().kind(), ErrorKind::AlreadyExists, "{self}");
        assert_invalid(&index.add(900, &[1.0; 4]).unwrap_err(), wrong_dim);
        assert_eq!(index.add(900, &[]).unwrap_err().kind(), ErrorKind::InvalidInput, "{self}");
        let message =
            "vector has a component that is not finite: row 0, component 2, expected a finite number, got NaN";
        assert_invalid(&index.add(900, &[1.0, 1.0, f32::NAN]).unwrap_err(), message);

        assert_eq!((index.len(), index.ids(), index.memory_bytes()), (50, case.ids, bytes), "{self}");
        assert!(!index.contains(900) && !index.contains(901), "{self}");
        assert_same(&answers(index.as_ref()), &before, self);
    }
}

fn assert_invalid(error: &Error, message: &str) {
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidInput, message));
}
