//! The search for a quality: which setting to try next, which one is the answer, and what a cloud of
//! tried settings says of a ladder. Pure: whoever encodes and scores asks and tells.
//!
//! ```
//! use search::{Prior, Search, Step, Target};
//! use types::{Encoder, PooledScore};
//!
//! # fn measured(index: usize) -> PooledScore {
//! #     let mean = 100.0 - 0.002 * (index * index) as f64;
//! #     PooledScore { mean, harmonic_mean: mean, min: mean, max: mean, standard_deviation: 0.0,
//! #         p1: mean, p5: mean, p10: mean, p25: mean, p50: mean }
//! # }
//! let scale = Encoder::X264.scale();
//! let prior = Prior::of(Encoder::X264, "medium", 1_080);
//! let mut search = Search::new(scale, prior, Target::mean(93.0));
//! let verdict = loop {
//!     match search.ask() {
//!         Step::Probe(index) => search.tell(index, &measured(index)),
//!         Step::Done(verdict) => break verdict,
//!     }
//! };
//! println!("{} after {} probes", scale.at(verdict.index), verdict.probes);
//! ```
//!
//! - [`Search`] finds the smallest file that meets a [`Target`], which may have several constraints
//!   ([`Constraint`]): mean at least 93 and p5 at least 88. It never asks for the same place twice.
//! - [`Prior`] is what is known of an encoder before anything is tried.
//! - [`hull`] and [`rungs`] make a ladder of what was measured, [`bd_rate`] compares two encoders.
//! - [`Monotone`] is the interpolation they share.

mod bd_rate;
mod hull;
mod monotone;
mod prior;
mod search;
mod target;

pub use bd_rate::{RatePoint, bd_rate};
pub use hull::{hull, rungs};
pub use monotone::{Monotone, isotonic};
pub use prior::Prior;
pub use search::{Evidence, PROBES_MAX_DEFAULT, Search, Step, Verdict};
pub use target::{Binding, Constraint, Statistic, TOLERANCE_DEFAULT, Target};
