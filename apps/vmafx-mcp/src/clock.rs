//! Readings of the system: its clock, and its randomness.

use std::time::SystemTime;

use types::Timestamp;

/// The reading of the wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.after(since)
}

/// 128 bits from the operating system; without them the low bits of the clock, which are unique
/// enough within one process.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_be_bytes(bytes),
        Err(_) => u128::from(now().unix_micros().unsigned_abs()),
    }
}
