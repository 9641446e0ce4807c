//! Statistics of the cache: events and times are added to atomic counters, and read as `CacheStats`.

use std::iter::Sum;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts and times of cache events, for one collection, for a backend, or for all.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Searches that found their entry in memory.
    pub hits: u64,
    /// Hits on an entry of another collection with the same witness.
    pub shared_hits: u64,
    /// Searches that did not find their entry in memory, waiters of a build included.
    pub misses: u64,
    /// Entries read from an index file.
    pub loads: u64,
    /// Entries built from all vectors.
    pub primes: u64,
    /// Entries followed from an older state.
    pub follows: u64,
    /// Calls that invalidated a collection which had entries in memory.
    pub invalidations: u64,
    /// Entries evicted for the budget.
    pub evictions: u64,
    /// Time of primes and follows that searches waited for.
    pub prime_time: Duration,
    /// Time of waiting for, reading and checking vectors; of rebuilds too.
    pub read_time: Duration,
    /// Time of encoding vectors; of rebuilds too.
    pub encode_time: Duration,
    /// Time of writing index files within `prime_time`.
    pub write_time: Duration,
}

impl Add for CacheStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            shared_hits: self.shared_hits + other.shared_hits,
            misses: self.misses + other.misses,
            loads: self.loads + other.loads,
            primes: self.primes + other.primes,
            follows: self.follows + other.follows,
            invalidations: self.invalidations + other.invalidations,
            evictions: self.evictions + other.evictions,
            prime_time: self.prime_time + other.prime_time,
            read_time: self.read_time + other.read_time,
            encode_time: self.encode_time + other.encode_time,
            write_time: self.write_time + other.write_time,
        }
    }
}

impl Sum for CacheStats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.fold(Self::default(), Add::add)
    }
}

/// Counts that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) hits: Counter,
    pub(super) shared_hits: Counter,
    pub(super) misses: Counter,
    pub(super) loads: Counter,
    pub(super) primes: Counter,
    pub(super) follows: Counter,
    pub(super) invalidations: Counter,
    pub(super) evictions: Counter,
    pub(super) prime_time: Counter,
    pub(super) read_time: Counter,
    pub(super) encode_time: Counter,
    pub(super) write_time: Counter,
}

impl Counters {
    pub(crate) fn invalidated(&self) {
        self.invalidations.increment();
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.get(),
            shared_hits: self.shared_hits.get(),
            misses: self.misses.get(),
            loads: self.loads.get(),
            primes: self.primes.get(),
            follows: self.follows.get(),
            invalidations: self.invalidations.get(),
            evictions: self.evictions.get(),
            prime_time: Duration::from_nanos(self.prime_time.get()),
            read_time: Duration::from_nanos(self.read_time.get()),
            encode_time: Duration::from_nanos(self.encode_time.get()),
            write_time: Duration::from_nanos(self.write_time.get()),
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Adds a time, in nanoseconds.
    pub(super) fn add_time(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
