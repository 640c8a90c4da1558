//! What tests share: clips made by seeded arithmetic, golden values, random cases, and which instruction
//! sets and sizes a suite must have walked.
//!
//! A dev-dependency only. Nothing here reads a clock, draws from the system's randomness or touches
//! a file; the same arguments give the same bytes on every machine.

pub mod clip;
mod footage;
pub mod fuzz;
pub mod golden;
pub mod isa;
pub mod lattice;
pub mod random;

pub use clip::{Clip, ClipPair, ClipSpec, Content};
pub use random::SplitMix64;
