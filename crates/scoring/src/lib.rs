//! One scoring run from names to report: probe, decode, score in parallel, pool.
//!
//! ```no_run
//! use media::{MediaConfig, SourcePolicy, Stop};
//! use scoring::{Progress, RunConfig, ScoreRequest};
//! use types::MediaRef;
//!
//! let request = ScoreRequest::pair(MediaRef::new("reference.y4m"), MediaRef::new("distorted.mp4"));
//! let config = RunConfig::new(MediaConfig::new(SourcePolicy::unrestricted_local()));
//! let (stop, progress) = (Stop::never(), Progress::new());
//! match scoring::run(&request, &config, &stop, &progress) {
//!     Ok(report) => println!("{:?}", report.headline().map(|model| model.pooled.mean)),
//!     Err(error) => eprintln!("{}: {error}", error.kind()),
//! }
//! ```
//!
//! - [`ScoreRequest`] says what to score ([`ScoreRequest::from_job`] takes it from a job);
//!   [`RunConfig`] says with what: source rules, `ffmpeg`, threads, niceness, instruction set.
//! - [`StreamRun`] scores frames that a [`PairSource`] hands over one by one, and gives each frame's
//!   scores as soon as they are final.
//! - [`run`] blocks until the report is there. From other threads, [`media::CancelToken::cancel`]
//!   ends it and [`Progress`] says how far it is.
//! - [`run_each`] scores several distorted videos of one reference, whose share of the work is done once;
//!   [`run_job`] those of a job.
//! - [`try_out`] encodes a range of a video and scores what comes of it: one [`Trial`].
//! - [`ScoreError::kind`] is the one mapping to [`types::FailureKind`].
//!
//! Invariants: as many pictures are alive as `threads` ask for and a small constant more, whatever the
//! clip's length; the result does not depend on threads or timing; the stages of the report add up to
//! its wall time; a panic anywhere in a run ends that run with an error, never with a hang; when `run`
//! returns, its threads and child processes are gone.

mod error;
mod heat_maps;
mod memory;
mod pipeline;
mod progress;
mod request;
mod run;
mod stream;
mod trial;

pub use error::ScoreError;
pub use memory::refuse_huge_pages;
pub use progress::Progress;
pub use request::{HeatMapRule, ScoreRequest};
pub use run::{RunConfig, run, run_each, run_job};
pub use stream::{LiveScores, PairSource, STREAM_CUT, StreamRun};
pub use trial::{Trial, TrialError, TrialProgress, score_encoded, try_out};
