//! `vmafx-controller`.
fn main() {}
