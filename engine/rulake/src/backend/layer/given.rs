//! Size of the data that a scan or take has returned so far, by partition.

use parking_lot::Mutex;

use super::Size;

/// Size of the data that a scan has returned so far, by partition. A partition that is executed again starts from zero.
#[derive(Debug)]
pub(super) struct Given(Mutex<Vec<Size>>);

impl Given {
    pub(super) fn new(partitions: usize) -> Self {
        Self(Mutex::new(vec![Size::default(); partitions]))
    }

    pub(super) fn add(&self, partition: usize, size: Size) {
        if let Some(given) = self.0.lock().get_mut(partition) {
            *given += size;
        }
    }

    pub(super) fn start_over(&self, partition: usize) {
        if let Some(given) = self.0.lock().get_mut(partition) {
            *given = Size::default();
        }
    }

    pub(super) fn total(&self) -> Size {
        let mut total = Size::default();
        for given in self.0.lock().iter() {
            total += *given;
        }
        total
    }
}
