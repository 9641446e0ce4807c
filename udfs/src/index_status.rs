//! The status of a declared index, as far as this process knows.

use parking_lot::Mutex;
use ruvector_rulake::Generation;

/// Whether an index can answer, as far as this process knows.
#[derive(Debug)]
pub(crate) struct IndexStatus(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Whether it was built once: from then on it follows its table.
    built: bool,
    dropped: bool,
    failure: Option<Failure>,
}

/// Why an index could not be made.
#[derive(Debug)]
struct Failure {
    error: String,
    /// The state it could not be made for; `None` if it was never built.
    generation: Option<Generation>,
}

impl IndexStatus {
    pub(crate) fn new(built: bool) -> Self {
        Self(Mutex::new(Known { built, dropped: false, failure: None }))
    }

    /// Whether a search of that state may ask for its entry; if not, exact search answers.
    pub(crate) fn may_answer(&self, generation: &Generation) -> bool {
        let known = self.0.lock();
        // What could not be made of one state may be made of the next; until then nobody tries in vain.
        let failed = known.failure.as_ref().is_some_and(|failure| failure.generation.as_ref() == Some(generation));
        known.built && !known.dropped && !failed
    }

    pub(crate) fn is_built(&self) -> bool {
        self.0.lock().built
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.0.lock().dropped
    }

    /// Why it could not be made, the last time that somebody tried.
    pub(crate) fn error(&self) -> Option<String> {
        self.0.lock().failure.as_ref().map(|failure| failure.error.clone())
    }

    /// Notes that it is there.
    pub(crate) fn set_built(&self) {
        let mut known = self.0.lock();
        known.built = true;
        known.failure = None;
    }

    /// Notes that it is going to be built, and forgets why it was not.
    pub(crate) fn set_building(&self) {
        self.0.lock().failure = None;
    }

    pub(crate) fn set_dropped(&self) {
        self.0.lock().dropped = true;
    }

    /// Notes that it could not be built at all.
    pub(crate) fn set_failed(&self, error: String) {
        self.0.lock().failure = Some(Failure { error, generation: None });
    }

    /// Notes that it could not be made for a state.
    pub(crate) fn set_failed_for(&self, generation: Generation, error: String) {
        self.0.lock().failure = Some(Failure { error, generation: Some(generation) });
    }
}
