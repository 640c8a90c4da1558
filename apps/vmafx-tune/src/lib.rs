//! Target-quality encoding: the smallest file that is good enough, found, made and verified.
//!
//! ```no_run
//! use media::{MediaConfig, SourcePolicy, Stop};
//! use scoring::RunConfig;
//! use search::Target;
//! use types::Encoder;
//! use vmafx_tune::{Besides, CrfRequest, EncodeSettings, Environment, SearchSettings, Silent, TuneRequest};
//!
//! let request = TuneRequest::Crf(CrfRequest {
//!     source: "film.mkv".to_owned(),
//!     encode: EncodeSettings::new(Encoder::SvtAv1),
//!     search: SearchSettings::new(Target::mean(93.0)),
//!     output: Some("film.tuned.mkv".into()),
//!     besides: Besides::default(),
//! });
//! let run = RunConfig::new(MediaConfig::new(SourcePolicy::unrestricted_local()));
//! match vmafx_tune::run(&request, &Environment::new(run), &Stop::never(), &Silent) {
//!     Ok(outcome) => println!("{:?}", outcome.standing()),
//!     Err(error) => eprintln!("{}", error.to_failure()),
//! }
//! ```
//!
//! - [`TuneRequest`] says what is wanted, [`Environment`] with what it is done, [`Sink`] hears of
//!   [`Event`]s, [`TuneOutcome`] is what comes of it. [`run`] blocks until it is there: call it on a
//!   thread of its own. [`cost`] says beforehand what it would take.
//! - Probes are carried out here, or as jobs on a [`Fleet`].
//!
//! Invariants: every probe is on the disk before it counts, and none is made twice, whatever kills the
//! run; a file appears under its name only when it is whole; what is reported of a finished file was
//! measured on that file, from its first frame to its last; when `run` returns, its threads and child
//! processes are gone.

mod combine;
mod cost;
mod crf;
mod digest;
mod error;
mod film;
mod finish;
mod fleet;
mod journal;
mod ladder;
mod leftovers;
mod local;
mod looks;
pub mod manifest;
mod notes;
mod outcome;
mod output;
mod probe;
mod progress;
pub mod report;
mod request;
mod run;
mod segments;
mod session;
mod shots;
pub mod show;
mod sound;
mod source;
mod sweep;
mod together;
mod whole;

pub use combine::Combined;
pub use cost::{Cost, cost};
pub use crf::{Found, Tried};
pub use error::TuneError;
pub use finish::{REPAIRS_MAX, Verified};
pub use fleet::Fleet;
pub use notes::is_noted;
pub use outcome::{
    CompareOutcome, Contender, CorpusLine, CorpusOutcome, CrfOutcome, LadderOutcome, Rendition,
    Shot, ShotsOutcome, Standing, TuneOutcome,
};
pub use probe::{FRAME_SCORES_MAX, FrameRange, ProbeKind};
pub use progress::{Event, Silent, Sink};
pub use request::{
    AUDIO_KILOBITS_DEFAULT, Besides, CompareRequest, CorpusRequest, CrfRequest, EncodeSettings,
    Keep, LIST_MAX, LadderAudio, LadderRequest, PARALLEL_MAX, SOURCES_MAX, SWEEP_MAX, Sampling,
    ScoreSettings, SearchSettings, ShotsRequest, TuneRequest,
};
pub use run::run;
pub use session::Environment;
pub use sound::SoundTrack;
pub use whole::write_whole;
