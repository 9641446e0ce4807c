//! The display of a statement that takes long: on standard error, on a terminal, and gone when the statement is done.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use crate::target::Target;

/// A statement that is done before this needs no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Time between two looks at how far an index is; on a server, where each is a call, it is longer.
const ASKED_EVERY: Duration = Duration::from_millis(250);
const ASKED_EVERY_REMOTE: Duration = Duration::from_secs(1);

/// Time between two pictures.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// The progress of a statement.
pub(super) struct Progress {
    start: Instant,
    rows: AtomicU64,
    build: Mutex<Option<Build>>,
    drawn: Mutex<Drawn>,
}

/// An index that is being built.
struct Build {
    index: String,
    rows_read: u64,
    /// Vectors that are encoded, and how many there are, where that is known.
    vectors: Option<(u64, u64)>,
}

enum Drawn {
    /// Nothing is drawn: the output is not a terminal, or rows are being printed.
    Never,
    NotYet,
    Bar(ProgressBar),
}

impl Progress {
    /// It is shown if standard output and standard error are terminals: other processes may write to the end of a pipe, too.
    pub(super) fn new() -> Self {
        let is_seen = io::stderr().is_terminal() && io::stdout().is_terminal();
        let drawn = Mutex::new(if is_seen { Drawn::NotYet } else { Drawn::Never });
        Self { start: Instant::now(), rows: AtomicU64::new(0), build: Mutex::new(None), drawn }
    }

    /// True if the display may be drawn.
    pub(super) fn is_seen(&self) -> bool {
        !matches!(*self.drawn.lock(), Drawn::Never)
    }

    /// Notes rows that came.
    pub(super) fn add_rows(&self, num_rows: usize) {
        self.rows.fetch_add(num_rows as u64, Ordering::Relaxed);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Shows how far it is, if it takes long.
    pub(super) fn draw(&self) {
        let mut drawn = self.drawn.lock();
        if matches!(*drawn, Drawn::NotYet) && self.elapsed() >= SHOWN_AFTER {
            let target = ProgressDrawTarget::stderr();
            *drawn = Drawn::Bar(ProgressBar::with_draw_target(None, target).with_style(style("{spinner} {wide_msg}")));
        }
        let Drawn::Bar(bar) = &*drawn else { return };
        let seconds = format!("{:.1} s", self.elapsed().as_secs_f64());
        match &*self.build.lock() {
            Some(Build { index, vectors: Some((done, total)), .. }) => {
                bar.set_message(format!("{seconds}, index {index}"));
                if bar.length() != Some(*total) {
                    bar.set_length(*total);
                    bar.set_style(style("{spinner} {msg} [{bar:30}] {human_pos}/{human_len} vectors"));
                }
                bar.set_position(*done);
            }
            Some(Build { index, rows_read, .. }) => {
                bar.set_message(format!("{seconds}, index {index}: {} rows read", HumanCount(*rows_read)));
            }
            None => match self.rows.load(Ordering::Relaxed) {
                0 => bar.set_message(seconds),
                rows => bar.set_message(format!("{seconds}, {} rows", HumanCount(rows))),
            },
        }
        bar.tick();
    }

    /// Takes it off the terminal, for good.
    pub(super) fn clear(&self) {
        if let Drawn::Bar(bar) = std::mem::replace(&mut *self.drawn.lock(), Drawn::Never) {
            bar.finish_and_clear();
        }
    }

    /// Asks again and again which index is being built, and how far it is. It ends when the target does not answer.
    pub(super) async fn follow_build(&self, target: &Target) {
        let sql = "SELECT name, rows_read, vectors_done, vectors_total FROM system.indexes WHERE state = 'building'";
        let every = if matches!(target, Target::Embedded { .. }) { ASKED_EVERY } else { ASKED_EVERY_REMOTE };
        loop {
            tokio::time::sleep(every).await;
            let Ok(rows) = target.ask(sql).await else { return };
            *self.build.lock() = rows.into_iter().next().and_then(Build::from_row);
        }
    }
}

impl Build {
    fn from_row(row: Vec<String>) -> Option<Self> {
        let [index, rows_read, done, total] = <[String; 4]>::try_from(row).ok()?;
        let number = |text: &str| text.parse::<u64>().ok();
        let vectors = number(&done).zip(number(&total).filter(|total| *total > 0));
        Some(Self { index, rows_read: number(&rows_read).unwrap_or_default(), vectors })
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_as_far_as_its_row_says() {
        let row = |texts: [&str; 4]| Build::from_row(texts.map(str::to_owned).to_vec()).unwrap();
        assert_eq!(row(["i", "7", "3", "10"]).vectors, Some((3, 10)));
        assert_eq!((row(["i", "7", "", ""]).rows_read, row(["i", "7", "", ""]).vectors), (7, None));
        assert!(Build::from_row(vec![]).is_none());
    }

    #[test]
    fn the_templates_are_right() {
        for template in ["{spinner} {wide_msg}", "{spinner} {msg} [{bar:30}] {human_pos}/{human_len} vectors"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
