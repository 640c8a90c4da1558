//! What tests share: clips made by seeded arithmetic, and golden values.
//!
//! A dev-dependency only. Nothing here reads a clock, draws from the system's randomness or touches
//! a file; the same arguments give the same bytes on every machine.

pub mod clip;
pub mod fuzz;
pub mod golden;
pub mod random;

pub use clip::{Clip, ClipPair, ClipSpec, Content};
pub use random::SplitMix64;
