//! `vmafx`.
fn main() {}
