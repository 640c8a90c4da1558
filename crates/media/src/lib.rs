//! Video in: opens a source under rules, and hands out uncompressed planes frame by frame; and out
//! again, through an encoder.
//!
//! - [`open`] names one video ([`types::MediaRef`]) and gives a [`Video`]: y4m and headerless YUV are
//!   read here; everything else is decoded by an `ffmpeg` child process, frame for frame, with no
//!   change of rate, chroma, depth or orientation. What cannot be had that way is refused.
//! - [`Pair`] is a reference and a distorted video of one shape, and knows what happens when one ends first;
//!   [`Renditions`] are several distorted videos of one reference.
//! - [`SourcePolicy`] says which paths and URLs may be opened at all.
//! - [`encode()`] reads frames of a source and has an `ffmpeg` child encode them into a file.
//! - [`MediaError`] is every way this can fail; [`MediaError::kind`] is its one mapping to
//!   [`types::FailureKind`].
//!
//! Invariants: memory is bounded whatever the input says (headers, pictures, the decoder's messages);
//! a video is never silently shorter than its file: damage is an error; a child process never
//! outlives its [`Video`]; every wait looks at [`Stop`] at least every
//! [`STOP_CHECK_INTERVAL`](stop::STOP_CHECK_INTERVAL).
//!
//! Everything here blocks: call it on threads of its own, never on an asynchronous runtime's.

pub mod encode;
pub mod error;
pub mod ffmpeg;
pub mod pair;
pub mod policy;
pub mod stop;
pub mod video;

mod ahead;
mod declared;
mod input;
mod open;
mod process;
mod y4m;

pub use declared::{Declared, SampleRange};
pub use encode::{
    EncodeJob, EncodeProgress, EncodedFile, EncoderError, EncoderSet, encode, encoder_version,
    encoders_of, join, library_versions,
};
pub use error::MediaError;
pub use ffmpeg::{Conform, FfmpegConfig, pixel_format_name};
pub use open::{MediaConfig, open, open_as};
pub use pair::{
    Depths, Pair, PairRange, Renditions, depth_warning, exceeded_depth_warning, length_warning,
};
pub use policy::SourcePolicy;
pub use stop::{CancelToken, Stop, Stopped};
pub use video::{Video, VideoInfo, exceeds};
