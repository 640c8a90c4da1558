//! Instruction sets that a suite must have run, so that vector code never passes by not being there.

use engine::Isa;

/// Says, by being set, that the machine has no instruction set above the baseline. Nothing else makes
/// a suite pass there on x86-64.
pub const BASELINE_ONLY_VARIABLE: &str = "VMAFX_TEST_BASELINE_ONLY";

/// Every instruction set of this machine, from the least to the most able.
///
/// # Panics
/// As [`with_vectors`].
#[must_use]
pub fn every_isa() -> Vec<Isa> {
    with_vectors(Isa::available())
}

/// `available` as it is: for suites inside the crate that defines instruction sets, whose type is
/// another there.
///
/// # Panics
/// On x86-64, where there is one instruction set only and [`BASELINE_ONLY_VARIABLE`] is not set: a
/// comparison of it with itself would show nothing.
#[must_use]
pub fn with_vectors<T>(available: Vec<T>) -> Vec<T> {
    let expected = cfg!(target_arch = "x86_64");
    if let Err(refusal) = check(available.len(), expected, is_excused()) {
        panic!("{refusal}");
    }
    available
}

fn is_excused() -> bool {
    std::env::var_os(BASELINE_ONLY_VARIABLE).is_some()
}

fn check(count: usize, expected: bool, excused: bool) -> Result<(), String> {
    if count > 1 || !expected || excused {
        return Ok(());
    }
    Err(format!(
        "no instruction set above the baseline was found, so no vector code would be compared; set \
         {BASELINE_ONLY_VARIABLE}=1 if this machine has none"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_alone_is_refused_unless_the_machine_is_said_to_have_no_more() {
        assert!(check(1, true, false).is_err_and(|text| text.contains(BASELINE_ONLY_VARIABLE)));
        assert!(check(0, true, false).is_err());
        for (count, expected, excused) in [(2, true, false), (1, false, false), (1, true, true)] {
            assert_eq!(check(count, expected, excused), Ok(()));
        }
    }
}
