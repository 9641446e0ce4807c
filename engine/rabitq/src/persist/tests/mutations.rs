//! Random mutations of a file under right checksums: the file is refused, or it is exactly the file of another index.

use super::seal::seal;
use super::*;

const MUTATIONS_OF_EACH: usize = 600;

/// Whatever is changed, and however well the checksums are made right again: the file is refused, or it is exactly the
/// file of the index that was read, which then answers without a panic.
#[test]
fn a_mutated_file_is_refused_or_is_the_file_of_another_index() {
    let seed = SEED;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut loaded = 0;
    for (kind, keep_originals) in VARIANTS {
        for metric in [Metric::L2, Metric::InnerProduct] {
            let params = params(metric, keep_originals).with_nlist(3);
            let file = bytes_of(build(kind, &params, 3, 40, IdOrder::Shuffled).as_ref());
            for _ in 0..MUTATIONS_OF_EACH {
                let mut mutated = file.clone();
                for _ in 0..1 + random.below(3) {
                    mutate(&mut mutated, &mut random);
                }
                seal(&mut mutated);
                let Ok(mut index) = load_bytes(&mutated) else { continue };
                loaded += 1;
                // A reader of this minor version is free to forget what a later one wrote.
                mutated[10..12].fill(0);
                seal(&mut mutated);
                assert!(bytes_of(index.as_ref()) == mutated, "{kind}, {metric}, seed {seed}");
                use_it(index.as_mut());
            }
        }
    }
    assert!(loaded > 1000, "only {loaded} mutated files were accepted: the deeper checks were not reached");
}

fn use_it(index: &mut dyn VectorIndex) {
    answers(index);
    let gone: Vec<u64> = index.ids().into_iter().step_by(2).collect();
    assert_eq!(index.remove(&gone), gone.len());
    let vector = vec![0.5; index.dim().get()];
    index.add(gone.first().copied().unwrap_or(1), &vector).unwrap();
    answers(index);
}

/// Changes a bit, a byte or a number of 4 or 8 bytes, cuts some bytes out, or doubles some.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    // The header and what follows it is where most of the sense is.
    let within = if random.below(3) == 0 { bytes.len().min(512) } else { bytes.len() };
    let at = random.below(within);
    match random.below(8) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.next_u64() as u8,
        3 | 4 => {
            let numbers =
                [0, 1, 2, 3, 5, 32, 40, 64, 0x7F80_0000, 0x7FC0_0000, 0x8000_0000, u64::from(u32::MAX), u64::MAX];
            let number = numbers[random.below(numbers.len())].to_le_bytes();
            let len = if random.below(2) == 0 { 4 } else { 8 };
            let at = at / len * len;
            let len = len.min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&number[..len]);
        }
        5 => {
            let from = random.below(bytes.len());
            let len = (1 + random.below(64)).min(bytes.len() - at).min(bytes.len() - from);
            bytes.copy_within(from..from + len, at);
        }
        6 => {
            let len = (1 + random.below(64)).min(bytes.len() - at);
            bytes.drain(at..at + len);
        }
        _ => {
            let len = (1 + random.below(64)).min(bytes.len() - at);
            let copy = bytes[at..at + len].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}
