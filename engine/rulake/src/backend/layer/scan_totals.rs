//! Totals of a scan or take: the size of the data that it has returned so far, by partition.

use parking_lot::Mutex;

use super::size::Size;

/// Size of the data that a scan has returned so far, by partition. A partition that is executed again starts from zero.
#[derive(Debug)]
pub(super) struct ScanTotals(Mutex<Vec<Size>>);

impl ScanTotals {
    pub(super) fn new(partitions: usize) -> Self {
        Self(Mutex::new(vec![Size::default(); partitions]))
    }

    pub(super) fn add(&self, partition: usize, size: Size) {
        if let Some(total) = self.0.lock().get_mut(partition) {
            *total += size;
        }
    }

    pub(super) fn start_over(&self, partition: usize) {
        if let Some(total) = self.0.lock().get_mut(partition) {
            *total = Size::default();
        }
    }

    pub(super) fn total(&self) -> Size {
        let mut total = Size::default();
        for partition in self.0.lock().iter() {
            total += *partition;
        }
        total
    }
}
