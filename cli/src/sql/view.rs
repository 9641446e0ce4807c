//! The view of answers: their format, their limits, and the place that rows go to.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use console::Term;
use parking_lot::Mutex;

use super::limits::TABLE_ROWS_MAX;
use super::output::Format;

/// Rows of an answer that a person sees as a table: about two screens. `\rows` changes it.
const PERSON_ROWS_MAX: usize = 100;

/// The view of answers: their format, their limits, and the place that rows go to.
#[derive(Clone)]
pub(super) struct View {
    pub(super) format: Format,
    /// True if each row of a table is printed as lines of column and value.
    pub(super) expanded: bool,
    /// Rows of an answer that a table shows.
    pub(super) rows_max: Option<usize>,
    pub(super) sink: Sink,
    /// True if nothing is printed of a table without rows.
    pub(super) leave_out_empty: bool,
    /// True if a person may change the view.
    pub(super) is_interactive: bool,
}

impl View {
    pub(super) fn new(format: Format, is_interactive: bool) -> Self {
        let rows_max = if is_interactive { PERSON_ROWS_MAX } else { TABLE_ROWS_MAX };
        Self {
            format,
            expanded: false,
            rows_max: Some(rows_max),
            sink: Sink::Stdout,
            leave_out_empty: false,
            is_interactive,
        }
    }
}

/// The place that rows go to.
#[derive(Clone)]
pub(super) enum Sink {
    Stdout,
    File(Arc<Mutex<File>>),
}

impl Sink {
    /// A new file at `path`; one that is there is replaced.
    pub(super) fn create(path: &str) -> Result<Self, String> {
        let file = File::create(path).map_err(|e| format!("cannot write {path}: {e}"))?;
        Ok(Self::File(Arc::new(Mutex::new(file))))
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::File(file) => file.lock().write_all(bytes),
        }
    }

    /// Columns of the terminal that rows go to, if they go to one.
    pub(super) fn width(&self) -> Option<usize> {
        if !self.is_stdout() || !io::stdout().is_terminal() {
            return None;
        }
        Term::stdout().size_checked().map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0)
    }
}
