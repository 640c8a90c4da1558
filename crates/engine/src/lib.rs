//! Scoring as arithmetic: pictures in, scores out.
//!
//! The engine is synchronous and pure. It opens no file, starts no thread, reads no clock and no
//! environment; whoever calls it brings pictures, threads and time. It computes libvmaf's integer
//! features and models bit for bit (release [`LIBVMAF_VERSION`], its portable scalar path, wherever
//! it defines a result: [`PictureSpec::DEFINED_SIDE_MIN`]), on whatever instruction set the kernels
//! run.
//!
//! # From pictures to a report
//!
//! 1. [`Model::builtin`] or [`Model::parse`] gives the models; [`Plan::new`] works out which
//!    extractors serve them and any further [`FeatureRequest`]s, and the columns of the result.
//! 2. A [`PicturePool`] bounds the memory of pictures. A reader fills a [`PictureMut`] and freezes
//!    it into a [`Picture`], which threads share by reference count.
//! 3. Each thread has a [`FrameAnalyzer`] and turns frames, in any order, into [`FrameValues`].
//! 4. A [`Sequence`] collects those of all frames, or merges [`PartValues`] of ranges that were
//!    analyzed elsewhere; [`Sequence::finish`] computes what looks beyond a frame, predicts and
//!    pools. [`Scores::into_report`] makes the [`types::ScoreReport`] with its [`digest()`].
//! 5. [`write_log`] writes the report in one of libvmaf's log formats.
//!
//! Frames count from the first one that is scored. Frame `i` needs its own pictures and up to two
//! before ([`Plan::needs`], [`Plan::halo`]); subsampling ([`Plan::needs_spatial`]) leaves spatial
//! work out, never motion. Several distorted pictures of one reference picture are analyzed at once
//! and share the work on it.
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc, time::Duration};
//! use engine::{FrameAnalyzer, FrameInput, Isa, IsaLevel, Model, PicturePool, PictureSpec};
//! use engine::PictureWithPast;
//! use engine::{Plan, PlanOptions, PlanesWanted, Sequence};
//! use types::{ChromaSubsampling, PixelFormat};
//!
//! let models = vec![Model::builtin("vmaf_v0.6.1")?];
//! let plan = Arc::new(Plan::new(models, &PlanOptions::default())?);
//! let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };
//! let spec = PictureSpec { width: 64, height: 48, format, planes: PlanesWanted::Luma };
//! let pool = PicturePool::new(spec, NonZeroUsize::new(2).unwrap())?;
//! let picture = pool.try_take().unwrap().freeze();
//!
//! let isa = Isa::detect(IsaLevel::Avx512);
//! let mut analyzer = FrameAnalyzer::new(Arc::clone(&plan), spec, isa);
//! let input = FrameInput {
//!     frame_index: 0,
//!     reference: PictureWithPast::alone(&picture),
//!     distorted: &[PictureWithPast::alone(&picture)],
//! };
//! let mut sequence = Sequence::new(plan, spec.width, spec.height);
//! for values in analyzer.analyze(&input, &mut || Duration::ZERO)? {
//!     sequence.add(values)?;
//! }
//! let scores = sequence.finish()?;
//! assert_eq!(scores.models[0].name, "vmaf");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod analyze;
mod assemble;
mod clip_error;
mod digest;
mod features;
mod heat_map;
mod hex;
mod live;
mod log;
mod model;
mod motion;
mod picture;
mod pool;
mod preset;
mod viewing;

pub use analyze::{
    AnalyzeError, FrameAnalyzer, FrameInput, FrameValues, MotionSads, PICTURES_BEFORE_MAX,
    PictureWithPast,
};
pub use assemble::{FRAMES_MAX, PartValues, Scores, Sequence, SequenceError};
pub use digest::digest;
pub use features::{
    Extractor, ExtractorKind, FeatureError, FeatureOptions, FeatureRequest, Halo,
    MODEL_NAME_CHARS_MAX, MODELS_MAX, MotionOptions, Needs, OutputSet, Plan, PlanOptions,
    REQUESTS_MAX,
};
pub use heat_map::{HEAT_MAP_FILES, HeatMap, HeatMapSink, HeatMaps};
pub use kernels::{Isa, IsaLevel, IsaUnavailable, UnknownIsa};
pub use live::{AHEAD_MAX, LiveFrame, LiveSequence, TABLE_BYTES_MAX};
pub use log::{LogFormat, LogOptions, Precision, write_log};
pub use model::{
    BuiltinModel, LIBVMAF_COMMIT, LIBVMAF_VERSION, MODEL_BYTES_MAX, MODEL_NAME_DEFAULT, Model,
    ModelError, ModelFeature, builtin_models,
};
pub use picture::{
    Picture, PictureError, PictureMut, PicturePool, PictureSpec, Plane, PlaneData, PlaneDataMut,
    PlanesWanted,
};
pub use pool::pool;
pub use preset::{Preset, UnknownPreset};
pub use viewing::{Choice, HIGH_FRAME_RATE, Stored, View, Watched, choose};
