//! The table, and the file of targets.

use std::path::Path;

use serde::Serialize;

use crate::Failure;

/// A target, what was measured, and whether it is met.
#[derive(Debug, Serialize)]
pub struct Target {
    name: String,
    target: String,
    measured: String,
    met: bool,
}

/// The targets of a run, with what was measured.
#[derive(Debug, Default)]
pub struct Report {
    targets: Vec<Target>,
}

impl Report {
    /// Adds a target and what was measured of it.
    pub fn target(&mut self, name: &str, target: &str, measured: String, met: bool) {
        eprintln!("{} {name}: {measured} (target {target})", if met { "met   " } else { "MISSED" });
        let (name, target) = (name.to_owned(), target.to_owned());
        self.targets.push(Target { name, target, measured, met });
    }

    /// Writes `name.json` and `name.md` to `out`, and prints the table.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, out: &Path, name: &str) -> Result<(), Failure> {
        std::fs::create_dir_all(out)?;
        std::fs::write(out.join(format!("{name}.json")), serde_json::to_vec_pretty(&self.targets)?)?;
        let mut table = String::from("| target | asked | measured | |\n|---|---|---|---|\n");
        for target in &self.targets {
            let met = if target.met { "met" } else { "**missed**" };
            table.push_str(&format!("| {} | {} | {} | {met} |\n", target.name, target.target, target.measured));
        }
        std::fs::write(out.join(format!("{name}.md")), &table)?;
        println!("{table}");
        Ok(())
    }
}
