//! Conformance of builds: parameters, ids, progress, cancellation, and independence of the number of threads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Case, Suite, assert_same};
use crate::error::ErrorKind;
use crate::index::{BuildParams, SearchParams};
use crate::metric::Metric;
use crate::test_data::clustered;

impl Suite {
    pub(super) fn knows_its_vectors(&self) {
        let case = Case::new(Metric::Cosine, 20, 70);
        let params = BuildParams::new(Metric::Cosine).with_seed(3).with_originals(self.keep_originals).with_nprobe(2);
        let mut index = self.build_with(&case, &params);
        assert_eq!((index.kind(), index.metric(), index.build_params()), (self.kind, Metric::Cosine, &params));
        assert_eq!((index.len(), index.dim().get(), index.ids()), (70, 20, case.ids.clone()), "{self}");
        assert_eq!(index.vectors(), self.has_originals().then_some(&case.values[..]), "{self}");
        let vector = &case.values[33 * 20..34 * 20];
        assert_eq!(index.vector(case.ids[33]), self.has_originals().then_some(vector), "{self}");
        assert_eq!((index.vector(u64::MAX), index.contains(u64::MAX)), (None, false), "{self}");
        assert!(format!("{index:?}").len() < 400, "{self}: a log line shows what an index is, not its vectors");
        let codes = 70 * (64 / 8 + 12);
        let least = if self.has_originals() { 70 * 20 * 4 } else { codes };
        assert!(index.memory_bytes() >= least, "{self}: {} bytes", index.memory_bytes());
        assert!(index.attributes().is_empty(), "{self}");
        index.attributes_mut().insert("witness".to_owned(), "00ff".to_owned());
        assert_eq!(index.attributes()["witness"], "00ff", "{self}");

        let numbered = self.kind.build(None, case.vectors(), &params, None).unwrap();
        assert!(numbered.ids().into_iter().eq(0..70), "{self}: without ids vectors are numbered");
    }

    /// Numbers may come out of order, and the same more than once.
    pub(super) fn progress_ends_with_all_vectors(&self) {
        for num_vectors in [1, 32, 3000] {
            let case = Case::new(Metric::L2, 20, num_vectors);
            let largest = AtomicUsize::new(0);
            let progress = |done: usize| {
                assert!((0..=num_vectors).contains(&done), "{self}: {done} of {num_vectors} done");
                largest.fetch_max(done, Ordering::Relaxed);
                ControlFlow::Continue(())
            };
            self.kind.build(None, case.vectors(), &self.params(Metric::L2), Some(&progress)).unwrap();
            assert_eq!(largest.into_inner(), num_vectors, "{self}");
        }
    }

    pub(super) fn a_build_can_be_cancelled(&self) {
        for num_vectors in [1, 3000] {
            let case = Case::new(Metric::L2, 20, num_vectors);
            let params = self.params(Metric::L2);
            for last in [1, num_vectors] {
                let progress = |done| if done >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                let error = self.kind.build(None, case.vectors(), &params, Some(&progress)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{self}, cancelled at {last} of {num_vectors}");
                assert_eq!(error.to_string(), "the build was cancelled");
            }
        }
    }

    /// Building, adding and searching on one thread or on four.
    pub(super) fn threads_do_not_change_answers(&self) {
        for metric in Metric::ALL {
            let case = Case::new(metric, 65, 2500);
            let added = Case { values: clustered(99, 200, 65, 7), ids: (1 << 50..(1 << 50) + 200).collect(), ..case };
            let case = Case::new(metric, 65, 2500);
            let answers = |num_threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
                pool.install(|| {
                    let params = BuildParams::new(metric).with_originals(self.keep_originals);
                    let mut index = self.build_with(&case, &params);
                    index.add_batch(&added.ids, added.vectors()).unwrap();
                    index.remove(&case.ids[100..200]);
                    let queries = case.queries(9).concat();
                    let queries = Case { values: queries, ..case.clone() };
                    let params = SearchParams::new(20).with_nprobe(5).with_rerank_factor(1);
                    let answers = index.search_batch(queries.vectors(), &params).unwrap();
                    (answers, index.memory_bytes())
                })
            };
            let ((one, one_bytes), (four, _)) = (answers(1), answers(4));
            assert!(one_bytes > 0, "{self}");
            for (one, four) in one.iter().zip(&four) {
                assert_same(four, one, format!("{self}, {metric}, one thread and four"));
            }
        }
    }
}
