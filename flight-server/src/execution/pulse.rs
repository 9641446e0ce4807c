//! The pulse of the engine's threads: a task on them stamps the time again and again.
//!
//! A stamp that is old means that no thread runs tasks any more, because all are blocked. Statements are not answered then,
//! although sockets are: health checks say so. It does not say why.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{PULSE_AGE_MAX, PULSE_INTERVAL};

/// The last stamp. Cheap to clone; the task ends when all clones are dropped.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    /// Starts the task on `runtime`.
    pub(crate) fn start(runtime: &Handle) -> Self {
        let stamp = Arc::new(Mutex::new(Instant::now()));
        runtime.spawn(beat(Arc::downgrade(&stamp)));
        Self(stamp)
    }

    /// The age of the stamp, if the stamp is too old.
    pub(crate) fn missed(&self) -> Option<Duration> {
        let age = self.0.lock().elapsed();
        (age > PULSE_AGE_MAX).then_some(age)
    }
}

async fn beat(stamp: Weak<Mutex<Instant>>) {
    let mut ticks = interval(PULSE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match stamp.upgrade() {
            Some(stamp) => *stamp.lock() = Instant::now(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_pool_is_noticed_and_one_that_runs_again_too() {
        let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let pulse = Pulse::start(pool.handle());
        assert_eq!(pulse.missed(), None);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let blocked = pool.spawn(async move { released.recv().is_err() });
        std::thread::sleep(PULSE_AGE_MAX + PULSE_INTERVAL * 2);
        assert!(pulse.missed().is_some_and(|age| age > PULSE_AGE_MAX));
        drop(release);
        assert!(pool.block_on(blocked).unwrap());
        std::thread::sleep(PULSE_INTERVAL * 3);
        assert_eq!(pulse.missed(), None);
    }
}
