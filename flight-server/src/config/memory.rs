//! The amount of memory that there is to share.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Half of the memory that this process may have, in bytes: that of its control group, or of the machine. `None` if the system
/// does not say.
pub(crate) fn half() -> Option<usize> {
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::everything()));
    let group = system.cgroup_limits().map(|limits| limits.total_memory).filter(|bytes| *bytes > 0);
    let bytes = group.map_or(system.total_memory(), |group| group.min(system.total_memory()));
    usize::try_from(bytes / 2).ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn half_of_the_memory_is_a_sensible_number() {
        let bytes = super::half().unwrap();
        assert!((64 << 20..1 << 50).contains(&bytes), "{bytes}");
    }
}
