//! Model files come from users: whatever their bytes, reading them ends in a model or an error.

use engine::{Model, builtin_models};
use testkit::SplitMix64;

const ROUNDS: u64 = 400;

#[test]
fn damaged_model_files_give_a_model_or_an_error() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = SplitMix64::new(seed);
        let file = builtin_models()[random.below(builtin_models().len() as u64) as usize].json;
        let mut damaged = file.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(damaged.len() as u64) as usize;
            match random.below(4) {
                0 => damaged[at] = random.below(256) as u8,
                1 => damaged[at] = b"0123456789.-e: "[random.below(15) as usize],
                2 => drop(damaged.remove(at)),
                _ => damaged.truncate(at.max(1)),
            }
        }
        match Model::parse("damaged.json", &damaged) {
            Ok(model) => {
                taken += 1;
                let _ = model.predict(&vec![0.5; model.features().len()]);
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("damaged.json"), "seed {seed}: {error}");
            }
        }
    }
    assert!(taken > 20 && refused > 20, "{taken} taken, {refused} refused");
}
