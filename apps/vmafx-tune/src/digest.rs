//! SHA-256 as keys and notes write it.

use sha2::{Digest as _, Sha256};

/// The digest of some bytes, in lower-case hex.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    finished(Sha256::new().chain_update(bytes))
}

/// The digest of all that a hash was given.
pub(crate) fn finished(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
