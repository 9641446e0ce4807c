//! The status of a declared index, as far as this process knows.

use parking_lot::Mutex;
use ruvector_rulake::Generation;

/// The status of a declared index.
#[derive(Debug)]
pub struct IndexStatus(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// True if the index was built once. From then on it follows its table.
    built: bool,
    dropped: bool,
    failure: Option<Failure>,
}

/// The reason that an index could not be made.
#[derive(Debug)]
struct Failure {
    error: String,
    /// The state it could not be made for; `None` if it was never built.
    generation: Option<Generation>,
}

impl IndexStatus {
    /// The status of an index that is built already, or is still to be built.
    pub fn new(built: bool) -> Self {
        Self(Mutex::new(Known { built, dropped: false, failure: None }))
    }

    /// True if a search of the state `generation` may ask for the index's entry. Otherwise exact search answers.
    pub fn may_answer(&self, generation: &Generation) -> bool {
        let known = self.0.lock();
        // A build that failed for one state may succeed for the next: it is not tried again before.
        let failed = known.failure.as_ref().is_some_and(|failure| failure.generation.as_ref() == Some(generation));
        known.built && !known.dropped && !failed
    }

    /// True if the index was built once.
    pub fn is_built(&self) -> bool {
        self.0.lock().built
    }

    /// True if the declaration was dropped.
    pub fn is_dropped(&self) -> bool {
        self.0.lock().dropped
    }

    /// The error of the last attempt to make the index, if the attempt failed.
    pub fn error(&self) -> Option<String> {
        self.0.lock().failure.as_ref().map(|failure| failure.error.clone())
    }

    /// Notes that it is there.
    pub fn set_built(&self) {
        let mut known = self.0.lock();
        known.built = true;
        known.failure = None;
    }

    /// Notes that it is going to be built, and forgets why it was not.
    pub fn set_building(&self) {
        self.0.lock().failure = None;
    }

    /// Notes that the declaration was dropped.
    pub fn set_dropped(&self) {
        self.0.lock().dropped = true;
    }

    /// Notes that it could not be built at all.
    pub fn set_failed(&self, error: String) {
        self.0.lock().failure = Some(Failure { error, generation: None });
    }

    /// Notes that it could not be made for a state.
    pub fn set_failed_for(&self, generation: Generation, error: String) {
        self.0.lock().failure = Some(Failure { error, generation: Some(generation) });
    }
}
