//! `vmafx-node`.
fn main() {}
