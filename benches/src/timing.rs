use std::time::{Duration, Instant};

/// Time that a loop is timed for.
const BOX: Duration = Duration::from_millis(300);

/// The shortest of the runs that fit a little box of time.
pub fn shortest(mut run: impl FnMut()) -> Duration {
    let (start, mut shortest) = (Instant::now(), Duration::MAX);
    while start.elapsed() < BOX {
        let start = Instant::now();
        run();
        shortest = shortest.min(start.elapsed());
    }
    shortest
}

/// Ticks of the processor's clock in a second; nothing where there is no such clock. It runs at one rate, whatever the
/// core does.
pub fn ticks_per_second() -> Option<f64> {
    let (start, ticks) = (Instant::now(), ticks()?);
    std::thread::sleep(BOX);
    let passed = self::ticks()?.wrapping_sub(ticks);
    Some(passed as f64 / start.elapsed().as_secs_f64())
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> Option<u64> {
    #[expect(unsafe_code, reason = "the instruction is an intrinsic")]
    // SAFETY: every x86-64 processor has it, and it touches no memory.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> Option<u64> {
    None
}

/// The sum of some numbers: it takes no longer than reading them.
pub fn read(numbers: &[u64]) -> u64 {
    let mut sums = [0_u64; 16];
    for chunk in numbers.as_chunks::<16>().0 {
        for (sum, number) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*number);
        }
    }
    sums.iter().fold(0, |total, sum| total.wrapping_add(*sum))
}
