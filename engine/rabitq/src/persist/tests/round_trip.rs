//! Round trips: an index that was saved and loaded has the same parts, answers and bytes.

use super::*;

fn assert_round_trips(index: &dyn VectorIndex, what: &str) {
    let bytes = bytes_of(index);
    let loaded = load_bytes(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((loaded.kind(), loaded.dim(), loaded.len()), (index.kind(), index.dim(), index.len()), "{what}");
    assert_eq!(loaded.build_params(), index.build_params(), "{what}");
    assert_eq!(loaded.nlist(), index.nlist(), "{what}");
    assert_eq!(loaded.attributes(), index.attributes(), "{what}");
    assert_eq!(loaded.ids(), index.ids(), "{what}");
    assert_eq!(loaded.vectors(), index.vectors(), "{what}");
    assert_eq!(answers(loaded.as_ref()), answers(index), "{what}");
    assert!(bytes_of(loaded.as_ref()) == bytes, "{what}: saved again it is another file");
}

#[test]
fn every_kind_metric_and_order_of_ids_round_trips() {
    for (kind, keep_originals) in VARIANTS {
        for metric in Metric::ALL {
            for ids in IdOrder::ALL {
                for num_vectors in [0, 1, 33, 200] {
                    let what = format!("{kind}, originals {keep_originals}, {metric}, {ids:?}, {num_vectors} vectors");
                    let mut index = build(kind, &params(metric, keep_originals), 65, num_vectors, ids);
                    assert_round_trips(index.as_ref(), &what);
                    index.attributes_mut().insert("witness".to_owned(), "00ff".to_owned());
                    index.attributes_mut().insert("files".to_owned(), "a.parquet\nb.parquet ü".to_owned());
                    assert_round_trips(index.as_ref(), &what);
                }
            }
        }
    }
}

#[test]
fn a_kind_that_makes_its_own_lists_round_trips() {
    for metric in Metric::ALL {
        let index = build(IndexKind::RabitqPlus, &params(metric, true), 16, 3000, IdOrder::Shuffled);
        assert!(index.nlist() > 1, "so many vectors are more than one list");
        assert_round_trips(index.as_ref(), &format!("{metric}"));
    }
}

#[test]
fn an_index_round_trips_after_vectors_came_and_went() {
    for (kind, keep_originals) in VARIANTS {
        for metric in Metric::ALL {
            for ids in IdOrder::ALL {
                let what = format!("{kind}, originals {keep_originals}, {metric}, {ids:?}");
                let mut index = build(kind, &params(metric, keep_originals), 65, 100, ids);
                let more = clustered(SEED + 1, 40, 65, 4);
                let new_ids: Vec<u64> = (0..40).map(|i| 1 << 50 | (40 - i)).collect();
                index.add_batch(&new_ids, VectorBatch::new(index.dim(), &more).unwrap()).unwrap();
                assert_round_trips(index.as_ref(), &format!("{what}, added"));
                let gone: Vec<u64> = index.ids().into_iter().step_by(3).collect();
                assert_eq!(index.remove(&gone), gone.len());
                assert_round_trips(index.as_ref(), &format!("{what}, removed"));
                // One that was loaded can be changed as the other one.
                let mut loaded = load_bytes(&bytes_of(index.as_ref())).unwrap();
                for index in [&mut index, &mut loaded] {
                    index.add(1 << 60, &more[..65]).unwrap();
                    index.remove(&new_ids[20..]);
                }
                assert!(bytes_of(loaded.as_ref()) == bytes_of(index.as_ref()), "{what}, changed after loading");
                let all = index.ids();
                assert_eq!(index.remove(&all), all.len());
                assert_round_trips(index.as_ref(), &format!("{what}, emptied"));
            }
        }
    }
}

#[test]
fn parameters_round_trip() {
    for (nlist, nprobe) in [(None, None), (Some(1), None), (Some(7), Some(3)), (Some(1000), Some(usize::MAX))] {
        for (kind, keep_originals) in VARIANTS {
            let mut params = params(Metric::L2, keep_originals).with_epsilon(0.0).with_rerank_factor(usize::MAX);
            (params.nlist, params.nprobe) = (nlist, nprobe);
            let index = build(kind, &params, 3, 40, IdOrder::None);
            assert_round_trips(index.as_ref(), &format!("{kind}, {params:?}"));
        }
    }
}

/// The parameter of the caller is kept, also where the kind leaves no choice.
#[test]
fn originals_are_kept_as_the_kind_says() {
    for kind in IndexKind::ALL {
        for keep_originals in [false, true] {
            let index = build(kind, &params(Metric::Cosine, keep_originals), 20, 50, IdOrder::None);
            assert_round_trips(index.as_ref(), &format!("{kind}, originals {keep_originals}"));
        }
    }
}

#[test]
fn any_numbers_that_an_index_takes_round_trip() {
    for (kind, keep_originals) in VARIANTS {
        for metric in Metric::ALL {
            let largest = metric.max_coordinate();
            let extremes = [0.0, -0.0, largest, -largest, largest.sqrt(), -1e-30, 1e-40, 1e-43, 2e-44, -1e-45];
            for one in extremes {
                for other in extremes {
                    let values = [one, other, one, other, other, other, one, one];
                    let vectors = VectorBatch::new(Dim::new(2).unwrap(), &values).unwrap();
                    let index = kind.build(None, vectors, &params(metric, keep_originals), None).unwrap();
                    let what = format!("{kind}, originals {keep_originals}, {metric}, {one:e} and {other:e}");
                    assert_round_trips(index.as_ref(), &what);
                }
            }
        }
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    for (kind, keep_originals) in VARIANTS {
        let bytes = |num_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            let params = params(Metric::Cosine, keep_originals);
            pool.install(|| bytes_of(build(kind, &params, 100, 2500, IdOrder::Shuffled).as_ref()))
        };
        assert!(bytes(1) == bytes(4), "{kind}, originals {keep_originals}");
    }
}
