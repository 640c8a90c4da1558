//! Exit codes: the one table, which `--help` prints and scripts may rely on.

use std::process::ExitCode;

use types::FailureKind;

/// Everything went well.
pub const OK: u8 = 0;

/// The command line was wrong, or a defect of ours showed.
pub const USAGE_OR_INTERNAL: u8 = 1;

/// No controller answers at the address given, or not in time, or the connection broke before the answer
/// was whole: what was asked may have been done.
pub const UNREACHABLE: u8 = 40;

/// The controller refused: no such job, not allowed, a key used for another job.
pub const REFUSED: u8 = 41;

/// A second signal cut the end short.
pub const INTERRUPTED: u8 = 130;

/// The exit code of each kind of failure. Codes are never given a second meaning.
#[must_use]
pub const fn code(kind: FailureKind) -> u8 {
    kind.exit_code()
}

/// The same, as `main` returns it.
#[must_use]
pub fn exit_code(kind: FailureKind) -> ExitCode {
    ExitCode::from(code(kind))
}

/// The table as `--help` shows it.
#[must_use]
pub fn help() -> String {
    let mut text = format!(
        "Exit codes:\n  {OK:>3}  done\n  {USAGE_OR_INTERNAL:>3}  wrong usage, or {}\n",
        FailureKind::Internal
    );
    for kind in FailureKind::ALL.iter().filter(|kind| **kind != FailureKind::Internal) {
        text.push_str(&format!("  {:>3}  {kind}\n", code(*kind)));
    }
    for (code, what) in [
        (UNREACHABLE, "no controller answers, or not to the end"),
        (REFUSED, "the controller refused"),
        (INTERRUPTED, "a second signal cut the end short"),
    ] {
        text.push_str(&format!("  {code:>3}  {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_that_shells_leave_alone() {
        let codes: BTreeSet<u8> = FailureKind::ALL.iter().map(|kind| code(*kind)).collect();
        assert_eq!(codes.len(), FailureKind::ALL.len());
        assert!(codes.iter().all(|code| (1..126).contains(code)), "{codes:?}");
    }

    #[test]
    fn help_names_every_kind() {
        let help = help();
        assert!(FailureKind::ALL.iter().all(|kind| help.contains(kind.as_str())), "{help}");
    }
}
