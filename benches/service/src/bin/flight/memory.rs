//! The memory of this process. It is known on Linux only.

use std::fs;

/// The highest memory above what there was, while something runs.
pub(crate) struct Growth {
    before: u64,
}

impl Growth {
    /// Begins now.
    pub(crate) fn begin() -> Option<Self> {
        // 5: forget the highest so far.
        fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Self { before: field("VmRSS")? })
    }

    /// Since it began, in MiB.
    pub(crate) fn mebibytes(&self) -> Option<f64> {
        let highest = field("VmHWM")?;
        Some(highest.saturating_sub(self.before) as f64 / 1024.0)
    }
}

/// In KiB.
fn field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
