//! `vmafx-node`.
