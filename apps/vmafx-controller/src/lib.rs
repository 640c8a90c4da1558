//! `vmafx-controller`.
