//! Fused multiplication and addition where it is cheap.

#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::isa::{Portable, Vector};

/// A [`Vector`] that multiplies and adds `f64`.
pub(super) trait Fused: Vector {
    /// `a * b + c`, rounded once or twice: only where the result does not depend on that.
    fn fma(self, a: f64, b: f64, c: f64) -> f64;
}

impl Fused for Portable {
    #[inline(always)]
    fn fma(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
}

/// Multiplies and adds with one rounding, on every machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlwaysFused;

impl Vector for AlwaysFused {}

impl Fused for AlwaysFused {
    #[inline(always)]
    fn fma(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl Fused for Avx2 {
    #[inline(always)]
    fn fma(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl Fused for Avx512 {
    #[inline(always)]
    fn fma(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}
