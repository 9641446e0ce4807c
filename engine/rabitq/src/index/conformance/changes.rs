//! Conformance of changes: after vectors were added and removed, an index holds and answers what a plain list does.

use std::collections::HashMap;

use super::{Case, SEED, Suite, assert_same, everywhere};
use crate::index::{Hit, IndexKind, SearchParams, VectorIndex};
use crate::metric::Metric;
use crate::test_data::{Random, clustered};
use crate::vector::{Dim, VectorBatch};

const DIM: usize = 20;

impl Suite {
    pub(super) fn an_empty_index_can_be_filled(&self) {
        for metric in Metric::ALL {
            let mut case = Case { metric, dim: DIM, ids: Vec::new(), values: Vec::new() };
            let mut index = self.build(&case);
            assert_eq!((index.len(), index.is_empty(), index.dim().get()), (0, true, DIM), "{self}");
            assert_eq!((index.kind(), index.metric(), index.ids()), (self.kind, metric, vec![]), "{self}");
            assert_eq!(index.search(&[1.0; DIM], &SearchParams::new(3)).unwrap(), []);
            assert_eq!(index.range_search(&[1.0; DIM], f32::INFINITY, None).unwrap(), []);
            assert_eq!(index.remove(&[0, 7]), 0);
            let new = Case::new(metric, DIM, 100);
            index.add_batch(&new.ids, new.vectors()).unwrap();
            case.append(&new.ids, &new.values);
            self.assert_is(index.as_ref(), &case, &mut Seen::new());
        }
    }

    /// Adds and removes at random; after each few steps the index has what a plain list has.
    pub(super) fn changes_are_those_of_a_list(&self) {
        for metric in Metric::ALL {
            for start in [0, 400] {
                let mut case = Case::new(metric, DIM, start);
                let mut index = self.build(&case);
                let mut seen = Seen::new();
                let mut random = Random::new(SEED + start as u64);
                let mut next_id = 1 << 35;
                for step in 0..60 {
                    if random.below(5) < 3 {
                        let new = random.below(20);
                        let ids: Vec<u64> = (0..new as u64).map(|i| next_id + 17 * (i ^ 5)).collect();
                        next_id += 1000;
                        add(index.as_mut(), &ids, &clustered(SEED ^ step, new, DIM, 20), new.is_multiple_of(2));
                        case.append(&ids, &clustered(SEED ^ step, new, DIM, 20));
                    } else {
                        let mut ids = vec![3, u64::MAX];
                        ids.extend((0..random.below(30)).filter_map(|_| case.random_id(&mut random)));
                        let before = case.ids.len();
                        let removed = index.remove(&ids);
                        case.remove(&ids);
                        assert_eq!(removed, before - case.ids.len(), "{self}: number of vectors removed");
                    }
                    if step % 6 == 5 {
                        self.assert_is(index.as_ref(), &case, &mut seen);
                    }
                }
            }
        }
    }

    pub(super) fn everything_can_be_removed(&self) {
        let mut case = Case::new(Metric::L2, DIM, 333);
        let mut index = self.build(&case);
        let ids = case.ids.clone();
        for ids in ids.chunks(50) {
            assert_eq!(index.remove(ids), ids.len(), "{self}");
            case.remove(ids);
            self.assert_is(index.as_ref(), &case, &mut Seen::new());
        }
        assert!(index.is_empty(), "{self}");
        // What was removed may come back, as another vector.
        let again = Case { ids, ..Case::new(Metric::L2, DIM, 333) };
        index.add_batch(&again.ids, again.vectors()).unwrap();
        case.append(&again.ids, &again.values);
        self.assert_is(index.as_ref(), &case, &mut Seen::new());
    }

    /// The index holds the vectors of `case` and answers as brute force over them. `seen` has for each id the distance
    /// it ever had to a query: what is added or removed beside a vector does not change it.
    fn assert_is(&self, index: &dyn VectorIndex, case: &Case, seen: &mut Seen) {
        assert_eq!(index.len(), case.ids.len(), "{self}");
        assert_eq!(index.ids(), case.ids, "{self}: ids in the order of rows");
        assert!(case.ids.iter().all(|&id| index.contains(id)), "{self}");
        assert!(!index.contains(u64::MAX), "{self}");
        assert_eq!(index.vectors(), self.has_originals().then_some(&case.values[..]), "{self}: originals in order");
        for (id, row) in case.rows().step_by(7) {
            assert_eq!(index.vector(id), self.has_originals().then_some(row), "{self}: the vector of id {id}");
        }
        let query = vec![0.4; case.dim];
        let ranking = self.ranking(index, case, &query);
        for Hit { id, distance } in &ranking {
            let before = *seen.entry(*id).or_insert(*distance);
            assert_eq!(before.to_bits(), distance.to_bits(), "{self}: the distance of id {id} has changed");
        }
        let what = format!("{self}, {}, {} vectors", case.metric, case.ids.len());
        for k in [1, 10, 1000] {
            let hits = index.search(&query, &everywhere(index, k)).unwrap();
            assert_same(&hits, &ranking[..k.min(ranking.len())], format!("{what}, k {k}"));
        }
        let radius = ranking.get(ranking.len() / 2).map_or(0.0, |hit| hit.distance);
        let near = ranking.partition_point(|hit| hit.distance <= radius);
        assert_same(&index.range_search(&query, radius, None).unwrap(), &ranking[..near], format!("{what}, range"));
    }

    pub(super) fn has_originals(&self) -> bool {
        match self.kind {
            IndexKind::FlatF32 | IndexKind::RabitqPlus => true,
            IndexKind::Rabitq => false,
            _ => self.keep_originals,
        }
    }
}

/// Distances of ids to one query.
type Seen = HashMap<u64, f32>;

/// All at once, or one by one.
fn add(index: &mut dyn VectorIndex, ids: &[u64], values: &[f32], at_once: bool) {
    if at_once {
        index.add_batch(ids, VectorBatch::new(Dim::new(DIM).unwrap(), values).unwrap()).unwrap();
    } else {
        ids.iter().zip(values.chunks_exact(DIM)).for_each(|(&id, vector)| index.add(id, vector).unwrap());
    }
}

impl Case {
    fn append(&mut self, ids: &[u64], values: &[f32]) {
        self.ids.extend(ids);
        self.values.extend(values);
    }

    fn random_id(&self, random: &mut Random) -> Option<u64> {
        (!self.ids.is_empty()).then(|| self.ids[random.below(self.ids.len())])
    }

    /// The last vector takes the place of each that goes.
    fn remove(&mut self, ids: &[u64]) {
        for id in ids {
            if let Some(row) = self.ids.iter().position(|other| other == id) {
                self.ids.swap_remove(row);
                let last = self.values.len() - self.dim;
                self.values.copy_within(last.., row * self.dim);
                self.values.truncate(last);
            }
        }
    }
}
