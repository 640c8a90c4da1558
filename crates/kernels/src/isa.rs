//! Instruction sets: which exist, which of them this processor has, and how a kernel enters one.
//!
//! Invariant: a value of [`Isa`] other than the baseline exists only after detection on the running
//! processor succeeded. That is the fact every `unsafe` call in this crate relies on, so the field
//! stays private to this module.
//!
//! Nothing here lets a float result differ between instruction sets: Rust neither contracts
//! multiplication and addition nor reorders sums.

use std::fmt;
use std::str::FromStr;

/// The instruction sets that kernels are compiled for, from the least to the most able.
///
/// Only a name: it says nothing about the running processor. See [`Isa`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IsaLevel {
    /// What the compilation target guarantees.
    Baseline,
    /// AVX2 with FMA, BMI1, BMI2, LZCNT and POPCNT.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL beside everything in [`IsaLevel::Avx2`].
    Avx512,
}

impl IsaLevel {
    /// Every level, from the least to the most able.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// The name used in configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn is_detected(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => has_avx2() && has_avx512(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}

impl fmt::Display for IsaLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for IsaLevel {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        Self::ALL
            .into_iter()
            .find(|level| level.name() == name)
            .ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

/// An instruction set that the running processor has.
///
/// It cannot be made without detection, so holding one is the proof that its code may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isa {
    level: IsaLevel,
    /// Whether the level is AVX-512 and the processor has its VNNI (multiply and accumulate) too.
    vnni: bool,
}

impl Isa {
    /// The instruction set every processor of the compilation target has.
    pub const BASELINE: Self = Self { level: IsaLevel::Baseline, vnni: false };

    /// The most able instruction set of this processor that is not above `limit`.
    ///
    /// Pass [`IsaLevel::Avx512`] for no limit.
    pub fn detect(limit: IsaLevel) -> Self {
        IsaLevel::ALL
            .into_iter()
            .rev()
            .filter(|level| *level <= limit)
            .find_map(|level| Self::new(level).ok())
            .unwrap_or(Self::BASELINE)
    }

    /// The instruction set `level`, if this processor has it, with the extensions that it has and
    /// kernels use: at AVX-512 that is VNNI.
    ///
    /// # Errors
    /// [`IsaUnavailable`] when detection says no.
    pub fn new(level: IsaLevel) -> Result<Self, IsaUnavailable> {
        if !level.is_detected() {
            return Err(IsaUnavailable(level));
        }
        #[cfg(target_arch = "x86_64")]
        let vnni = level == IsaLevel::Avx512 && is_x86_feature_detected!("avx512vnni");
        #[cfg(not(target_arch = "x86_64"))]
        let vnni = false;
        Ok(Self { level, vnni })
    }

    /// The same instruction set without the extensions beyond its level.
    #[must_use]
    pub const fn without_extensions(self) -> Self {
        Self { level: self.level, vnni: false }
    }

    /// All instruction sets of this processor, from the least to the most able; never empty. One
    /// with extensions comes after itself without.
    pub fn available() -> Vec<Self> {
        let detected = IsaLevel::ALL.into_iter().filter_map(|level| Self::new(level).ok());
        let mut all = Vec::new();
        for isa in detected {
            if isa != isa.without_extensions() {
                all.push(isa.without_extensions());
            }
            all.push(isa);
        }
        all
    }

    /// Which instruction set this is.
    pub const fn level(self) -> IsaLevel {
        self.level
    }

    /// Whether AVX-512 VNNI may run beside everything in [`IsaLevel::Avx512`].
    pub const fn has_vnni(self) -> bool {
        self.vnni
    }
}

impl fmt::Display for Isa {
    /// The level's name, and `+vnni` where that may run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.vnni { f.pad("avx512+vnni") } else { self.level.fmt(f) }
    }
}

/// The name is none of `baseline`, `avx2`, `avx512`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIsa(pub String);

impl fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown instruction set {:?}: expected baseline, avx2 or avx512", self.0)
    }
}

impl std::error::Error for UnknownIsa {}

/// This processor lacks the instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsaUnavailable(pub IsaLevel);

impl fmt::Display for IsaUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this processor lacks the instruction set {}", self.0)
    }
}

impl std::error::Error for IsaUnavailable {}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    // The compiler takes F16C for granted wherever AVX-512 F is enabled.
    is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Every instruction set, for tests: see [`testkit::isa::with_vectors`].
#[cfg(test)]
pub(crate) fn every_isa() -> Vec<Isa> {
    testkit::isa::with_vectors(Isa::available())
}

/// The instruction set that a body compiled for several runs on; kernels give it operations by traits
/// of their own.
///
/// A value proves that its instructions may run: it is made only inside functions compiled for
/// them, which nothing enters without an [`Isa`].
pub(crate) trait Vector: Copy {}

/// No more than the compilation target guarantees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Vector for Portable {}

/// The instructions of [`IsaLevel::Avx2`] may run.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// The proof, for those who are compiled for these instructions.
    #[inline]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(crate) fn here() -> Self {
        Self(())
    }
}

#[cfg(target_arch = "x86_64")]
impl Vector for Avx2 {}

/// The instructions of [`IsaLevel::Avx512`] may run.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// The proof, for those who are compiled for these instructions.
    #[inline]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
    pub(crate) fn here() -> Self {
        Self(())
    }
}

#[cfg(target_arch = "x86_64")]
impl Vector for Avx512 {}

/// The instructions of [`IsaLevel::Avx512`] and AVX-512 VNNI may run.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(());

#[cfg(target_arch = "x86_64")]
impl Avx512Vnni {
    /// The proof, for those who are compiled for these instructions.
    #[inline]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")]
    pub(crate) fn here() -> Self {
        Self(())
    }
}

/// Compiles one `#[inline(always)]` body for every instruction set and picks one at run time.
///
/// `per_isa! { fn row_sum(row: &[u16]) -> u64 = scalar::row_sum; }` makes
/// `fn row_sum(isa: Isa, row: &[u16]) -> u64`. The body and what it calls must be
/// `#[inline(always)]`, or they stay compiled for the baseline. With `, with vector` after the
/// body, the body gets a [`Vector`] as its first argument.
macro_rules! per_isa {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$($life:lifetime),+>)? ($($arg:ident: $ty:ty),* $(,)?)
        $(-> $ret:ty)? = $body:path $(, with $vector:ident)?;
    )+) => {$(
        $(#[$meta])*
        $vis fn $name $(<$($life),+>)? (isa: $crate::isa::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                fn avx2 $(<$($life),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body($({ let $vector = $crate::isa::Avx2::here(); $vector },)? $($arg),*)
                }

                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
                fn avx512 $(<$($life),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body($({ let $vector = $crate::isa::Avx512::here(); $vector },)? $($arg),*)
                }

                match isa.level() {
                    $crate::isa::IsaLevel::Baseline => {
                        $body($({ let $vector = $crate::isa::Portable; $vector },)? $($arg),*)
                    }
                    // SAFETY: an `Isa` of level AVX2 exists only after each of these features was
                    // detected on the running processor.
                    $crate::isa::IsaLevel::Avx2 => unsafe { avx2($($arg),*) },
                    // SAFETY: an `Isa` of level AVX-512 exists only after each of these features
                    // was detected on the running processor.
                    $crate::isa::IsaLevel::Avx512 => unsafe { avx512($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = isa;
                $body($({ let $vector = $crate::isa::Portable; $vector },)? $($arg),*)
            }
        }
    )+};
}

pub(crate) use per_isa;

/// As [`per_isa`] with a vector, whose body is compiled for AVX-512 VNNI too.
///
/// That vector is of type [`Avx512Vnni`], so what the body asks of its vector need not be
/// [`Vector`].
macro_rules! per_isa_and_vnni {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$($life:lifetime),+>)? ($($arg:ident: $ty:ty),* $(,)?)
        $(-> $ret:ty)? = $body:path, with $vector:ident;
    )+) => {$(
        $(#[$meta])*
        $vis fn $name $(<$($life),+>)? (isa: $crate::isa::Isa, $($arg: $ty),*) $(-> $ret)? {
            $crate::isa::per_isa! {
                fn plain $(<$($life),+>)? ($($arg: $ty),*) $(-> $ret)? = $body, with $vector;
            }

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")]
                fn vnni $(<$($life),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body($crate::isa::Avx512Vnni::here(), $($arg),*)
                }

                if isa.has_vnni() {
                    // SAFETY: an `Isa` that has VNNI exists only after each of these features was
                    // detected on the running processor.
                    return unsafe { vnni($($arg),*) };
                }
            }
            plain(isa, $($arg),*)
        }
    )+};
}

pub(crate) use per_isa_and_vnni;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for level in IsaLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("AVX2".parse::<IsaLevel>(), Err(UnknownIsa("AVX2".to_owned())));
    }

    #[test]
    fn detection_never_exceeds_the_limit_and_only_offers_what_is_available() {
        let available = Isa::available();
        assert_eq!(available.first(), Some(&Isa::BASELINE));
        for pair in available.windows(2) {
            assert!(pair[0] < pair[1], "{} before {}", pair[0], pair[1]);
        }
        for limit in IsaLevel::ALL {
            let isa = Isa::detect(limit);
            assert!(isa.level() <= limit);
            assert!(available.contains(&isa));
            assert_eq!(Isa::new(limit).is_ok(), available.iter().any(|isa| isa.level() == limit));
        }
    }

    #[inline(always)]
    fn sum_body(values: &[u32]) -> u32 {
        values.iter().fold(0, |sum, value| sum.wrapping_add(*value))
    }

    per_isa! {
        fn sum(values: &[u32]) -> u32 = sum_body;
    }

    #[test]
    fn a_body_compiled_per_instruction_set_gives_one_result() {
        let values: Vec<u32> = (0..1000).map(|i: u32| i.wrapping_mul(0x9E37_79B9)).collect();
        let expected = sum_body(&values);
        for isa in every_isa() {
            assert_eq!(sum(isa, &values), expected, "{isa}");
        }
    }
}
