//! Video in: opens a source under rules, and hands out uncompressed planes frame by frame.
//!
//! - [`open`] names one video ([`types::MediaRef`]) and gives a [`Video`]: y4m and headerless YUV are
//!   read here; everything else is decoded by an `ffmpeg` child process, frame for frame, with no
//!   change of rate, chroma, depth or orientation. What cannot be had that way is refused.
//! - [`Pair`] is a reference and a distorted video of one shape, and knows what happens when one ends first.
//! - [`SourcePolicy`] says which paths and URLs may be opened at all.
//! - [`MediaError`] is every way this can fail; [`MediaError::kind`] is its one mapping to
//!   [`types::FailureKind`].
//!
//! Invariants: memory is bounded whatever the input says (headers, pictures, the decoder's messages);
//! a video is never silently shorter than its file: damage is an error; a child process never
//! outlives its [`Video`]; every wait looks at [`Stop`] at least every
//! [`STOP_CHECK_INTERVAL`](stop::STOP_CHECK_INTERVAL).
//!
//! Everything here blocks: call it on threads of its own, never on an asynchronous runtime's.

pub mod error;
pub mod ffmpeg;
pub mod pair;
pub mod policy;
pub mod stop;
pub mod video;

mod declared;
mod input;
mod open;
mod y4m;

pub use declared::{Declared, SampleRange};
pub use error::MediaError;
pub use ffmpeg::FfmpegConfig;
pub use open::{MediaConfig, open};
pub use pair::{Pair, PairRange, length_warning};
pub use policy::SourcePolicy;
pub use stop::{CancelToken, Stop, Stopped};
pub use video::{Video, VideoInfo};
