//! Names of methods and routes that live as long as the process, each kept once.
//!
//! They come from compiled descriptors and from route templates, never from a caller, so there are
//! few; beyond [`NAMES_MAX`] all share one. With such names a span needs no copy of its own.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The name of what has none, or one too many.
pub(super) const OTHER: &str = "_OTHER";

/// How many names are kept.
const NAMES_MAX: usize = 8_192;

pub(super) fn intern(name: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = names.get(name) {
        return kept;
    }
    if names.len() >= NAMES_MAX {
        return OTHER;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one() {
        let made = format!("a.v1.{}", "S/Run");
        let (a, b) = (intern(&made), intern("a.v1.S/Run"));
        assert!(std::ptr::eq(a, b));
        assert_ne!(a, intern("a.v1.S/Watch"));
    }
}
