//! `vmafx`.
