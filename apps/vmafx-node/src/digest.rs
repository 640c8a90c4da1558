//! The digest of an outcome: two attempts that found the same have the same one.

use sha2::{Digest as _, Sha256};
use types::Outcome;

/// Keeps these digests apart from all others.
const DOMAIN: &[u8] = b"vmafx outcome 1\0";

/// SHA-256 over what was found: the reports' digests, or the failure. Times are no part of it.
#[must_use]
pub fn outcome_digest(outcome: &Outcome) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match outcome {
        Outcome::Succeeded(reports) => {
            field(b"succeeded");
            for report in reports {
                field(report.digest.as_bytes());
            }
        }
        Outcome::Failed(failure) => {
            field(b"failed");
            field(failure.kind.as_str().as_bytes());
            field(failure.message.as_bytes());
        }
        Outcome::Released => field(b"released"),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use types::{Failure, FailureKind};

    use super::*;

    #[test]
    fn equal_outcomes_have_equal_digests_and_different_ones_do_not() {
        let failed = |kind, message: &str| Outcome::Failed(Failure::new(kind, message));
        let outcomes = [
            Outcome::Released,
            Outcome::Succeeded(Vec::new()),
            failed(FailureKind::Io, "a"),
            failed(FailureKind::Io, "b"),
            failed(FailureKind::DiskFull, "a"),
        ];
        for (i, one) in outcomes.iter().enumerate() {
            for (j, other) in outcomes.iter().enumerate() {
                assert_eq!(
                    outcome_digest(one) == outcome_digest(other),
                    i == j,
                    "{one:?} {other:?}"
                );
            }
        }
    }
}
