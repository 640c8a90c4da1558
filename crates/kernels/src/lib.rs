//! Feature extractors as plain arithmetic: slices, strides and constants in, numbers out.
//!
//! Each kernel exists once as a portable scalar body and is compiled for every instruction set of
//! [`IsaLevel`]; [`Isa`] picks one at run time and every choice gives the same bits. Hand-written
//! twins of a kernel live beside its `scalar.rs` (`avx2.rs`, `avx512.rs`) and are held to it by test.
//!
//! This is the only crate that may hold `unsafe`, and it does so in five kinds of places: where code
//! compiled for a detected instruction set is entered ([`isa`], and the vector operations of VIF, SSIM, PSNR-HVS,
//! CIEDE2000, ADM and motion), where those operations load and store whole vectors from runs of their length, where
//! ADM makes integers of floats whose range it has bounded, where words are taken for signed ones, and
//! where shared memory becomes numbers of one kind or another ([`arena`]). It knows no files, clocks,
//! environment variables or threads.

pub mod adm;
pub mod arena;
mod border;
pub mod cambi;
pub mod ciede;
pub mod elementary;
pub mod isa;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub mod motion;
pub mod plane;
pub mod psnr;
pub mod psnr_hvs;
pub mod speed;
pub mod ssim;
pub mod vif;

pub use isa::{Isa, IsaLevel, IsaUnavailable, UnknownIsa};
pub use plane::{PlaneError, PlaneRef, Samples, ShapeMismatch};
