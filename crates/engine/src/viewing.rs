//! Which model fits how a video is watched, and what its pictures are brought to for it.
//!
//! The models of generation 1 each judge one display at one distance. This chooses among them, says
//! why, and says what a comparison needs beside the model: both videos at the size at which the
//! display shows them, at 10 bits at least, and the size and depth at which the distorted video was
//! encoded, which tells the banding detector where to look.

use std::fmt;
use std::str::FromStr;

use crate::features::FeatureOptions;

/// From this many frames a second on, motion is looked at over a wider window.
pub const HIGH_FRAME_RATE: f64 = 47.0;
/// The smallest and the largest size of an encode that the banding detector takes.
const ENCODED: [(u32, u32); 2] = [(180, 150), (7_680, 7_680)];
/// The least that the longer side of such an encode has.
const LONGER_SIDE_MIN: u32 = 216;
/// Banding is found at this depth or more.
const BIT_DEPTH_MIN: u8 = 10;

/// How a video is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// A television of 1080 lines, from three picture heights.
    Tv1080p,
    /// A phone: 1080 lines, from five picture heights.
    Phone,
    /// A television of 2160 lines, from three picture heights: the sofa at its usual place.
    Tv4k,
    /// A television of 2160 lines, from one and a half picture heights: the critical eye.
    Tv4kClose,
}

impl View {
    /// Every view.
    pub const ALL: [Self; 4] = [Self::Tv1080p, Self::Phone, Self::Tv4k, Self::Tv4kClose];

    /// The name by which it is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tv1080p => "tv-1080p",
            Self::Phone => "phone",
            Self::Tv4k => "tv-4k",
            Self::Tv4kClose => "tv-4k-close",
        }
    }

    /// Width and height of the display, in pixels.
    #[must_use]
    pub const fn display(self) -> (u32, u32) {
        match self {
            Self::Tv1080p | Self::Phone => (1_920, 1_080),
            Self::Tv4k | Self::Tv4kClose => (3_840, 2_160),
        }
    }

    /// Picture heights between the display and who watches.
    const fn distance(self) -> &'static str {
        match self {
            Self::Tv1080p | Self::Tv4k => "3",
            Self::Phone => "5",
            Self::Tv4kClose => "1.5",
        }
    }

    /// The model that was made for it: for up to about 30 frames a second, and for about twice as many.
    const fn models(self) -> [&'static str; 2] {
        match self {
            Self::Tv1080p => ["vmaf_v1.0.16_3d0h", "vmaf_v1.0.16_hfr_3d0h"],
            Self::Phone => ["vmaf_v1.0.16_5d0h", "vmaf_v1.0.16_hfr_5d0h"],
            Self::Tv4k => ["vmaf_v1.0.16_3d0h_2160", "vmaf_v1.0.16_hfr_3d0h_2160"],
            Self::Tv4kClose => ["vmaf_v1.0.16_1d5h_2160", "vmaf_v1.0.16_hfr_1d5h_2160"],
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for View {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|view| view.name() == text).ok_or_else(|| {
            format!("{text:?} is no view; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// What a video's pictures are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Width and height of luma, in samples.
    pub size: (u32, u32),
    /// Bits a sample.
    pub bit_depth: u8,
}

/// A pair, and how it is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    /// On what, from where.
    pub view: View,
    /// The undegraded video.
    pub reference: Stored,
    /// The degraded video.
    pub distorted: Stored,
    /// `None` where the files do not say.
    pub frames_per_second: Option<f64>,
}

/// What fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// A built-in model.
    pub model: &'static str,
    /// Options for extractors of the model, by their names.
    pub options: Vec<(&'static str, FeatureOptions)>,
    /// The size that both videos are brought to, by a bicubic filter where they have another.
    pub size: (u32, u32),
    /// The depth that both are brought to.
    pub bit_depth: u8,
    /// The reasons, a sentence each.
    pub why: Vec<String>,
}

/// Chooses the model for a view, and what its pictures are brought to.
#[must_use]
pub fn choose(watched: &Watched) -> Choice {
    let Watched { view, reference, distorted, frames_per_second } = *watched;
    let mut why = Vec::new();
    let model = model(view, frames_per_second, &mut why);
    let size = shown(reference.size, view.display());
    let bit_depth = BIT_DEPTH_MIN.max(reference.bit_depth).max(distorted.bit_depth);
    let (width, height) = size;
    let sides = [("the reference", reference), ("the distorted video", distorted)];
    for (name, stored) in sides.into_iter().filter(|(_, stored)| stored.size != size) {
        let (from_width, from_height) = stored.size;
        why.push(format!(
            "{name} is scaled from {from_width}x{from_height} to {width}x{height} (bicubic), the size at which a \
             display of {}x{} shows it",
            view.display().0,
            view.display().1
        ));
    }
    for (name, stored) in sides.into_iter().filter(|(_, stored)| stored.bit_depth != bit_depth) {
        why.push(format!(
            "{name} is raised from {} to {bit_depth} bits: the model looks for banding, which is measured at {BIT_DEPTH_MIN} bits or more",
            stored.bit_depth
        ));
    }
    let mut cambi = FeatureOptions::default();
    if distorted.size != size {
        let encoded = encoded(distorted.size, &mut why);
        cambi.set("enc_width", &encoded.0.to_string());
        cambi.set("enc_height", &encoded.1.to_string());
    }
    if distorted.bit_depth != bit_depth {
        cambi.set("enc_bitdepth", &distorted.bit_depth.to_string());
    }
    let mut options = Vec::new();
    if cambi.iter().next().is_some() {
        let set: Vec<String> =
            cambi.iter().map(|(name, value)| format!("{name}={value}")).collect();
        why.push(format!(
            "the banding detector is told how the distorted video was encoded: {}",
            set.join(", ")
        ));
        options.push(("cambi", cambi));
    }
    Choice { model, options, size, bit_depth, why }
}

fn model(view: View, frames_per_second: Option<f64>, why: &mut Vec<String>) -> &'static str {
    let [usual, fast] = view.models();
    let rate = frames_per_second.filter(|rate| rate.is_finite());
    let is_fast = rate.is_some_and(|rate| rate >= HIGH_FRAME_RATE);
    let model = if is_fast { fast } else { usual };
    let (width, height) = view.display();
    why.push(format!(
        "{view}: a display of {width}x{height} from {} picture heights is what {usual} was made for",
        view.distance()
    ));
    match rate {
        Some(rate) if is_fast => why.push(format!(
            "{rate:.3} frames a second are {HIGH_FRAME_RATE} or more: {fast} measures motion over five frames"
        )),
        Some(_) => {}
        None => why.push(
            "the files do not say how many frames a second they have: taken for 30 or fewer".to_owned(),
        ),
    }
    if view == View::Tv4k {
        why.push(
            "its scores go up to 110: what 4K adds to 1080 lines from the same place".to_owned(),
        );
    }
    model
}

/// The size of an encode, or the nearest that the banding detector takes.
fn encoded(size: (u32, u32), why: &mut Vec<String>) -> (u32, u32) {
    let [least, most] = ENCODED;
    let mut taken = (size.0.clamp(least.0, most.0), size.1.clamp(least.1, most.1));
    // The longer of the picture's own: what is taken of a small portrait may be as wide as high.
    let longer = if size.0 >= size.1 { &mut taken.0 } else { &mut taken.1 };
    *longer = (*longer).max(LONGER_SIDE_MIN);
    if taken != size {
        why.push(format!(
            "the banding detector takes encodes from {}x{}, the longer side {LONGER_SIDE_MIN} or more, to {}x{}: one of {}x{} counts as {}x{}",
            least.0, least.1, most.0, most.1, size.0, size.1, taken.0, taken.1
        ));
    }
    taken
}

/// The largest size of these proportions that the display holds: even, since chroma may be halved.
/// Pictures that fill the display in one direction keep their size.
fn shown((width, height): (u32, u32), display: (u32, u32)) -> (u32, u32) {
    let fits = width <= display.0 && height <= display.1;
    if fits && (width == display.0 || height == display.1) {
        return (width, height);
    }
    let [width, height, across, down] = [width, height, display.0, display.1].map(u64::from);
    // Half of `whole * numerator / denominator`, to the nearest, doubled.
    let even = |whole: u64, numerator: u64, denominator: u64| {
        let halves = (whole * numerator + denominator) / (2 * denominator);
        u32::try_from(2 * halves.max(1)).unwrap_or(u32::MAX)
    };
    if width * down >= height * across {
        (display.0, even(height, across, width.max(1)).min(display.1))
    } else {
        (even(width, down, height.max(1)).min(display.0), display.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(view: View, size: (u32, u32), bit_depth: u8, rate: Option<f64>) -> Watched {
        let stored = Stored { size, bit_depth };
        Watched { view, reference: stored, distorted: stored, frames_per_second: rate }
    }

    #[test]
    fn view_and_rate_choose_the_model() {
        for (view, rate, model) in [
            (View::Tv1080p, Some(25.0), "vmaf_v1.0.16_3d0h"),
            (View::Tv1080p, Some(60_000.0 / 1_001.0), "vmaf_v1.0.16_hfr_3d0h"),
            (View::Phone, None, "vmaf_v1.0.16_5d0h"),
            (View::Tv4k, Some(30.0), "vmaf_v1.0.16_3d0h_2160"),
            (View::Tv4kClose, Some(50.0), "vmaf_v1.0.16_hfr_1d5h_2160"),
        ] {
            assert_eq!(choose(&watched(view, (1_920, 1_080), 10, rate)).model, model);
        }
        for view in View::ALL {
            assert_eq!(view.to_string().parse(), Ok(view));
        }
        assert!("tv".parse::<View>().expect_err("none").contains("tv-4k-close"));
    }

    #[test]
    fn pictures_are_brought_to_the_size_at_which_they_are_shown() {
        for (size, display, expected) in [
            ((1_920, 1_080), (1_920, 1_080), (1_920, 1_080)),
            ((1_920, 800), (1_920, 1_080), (1_920, 800)),
            ((1_280, 720), (1_920, 1_080), (1_920, 1_080)),
            ((640, 272), (1_920, 1_080), (1_920, 816)),
            ((720, 1_280), (1_920, 1_080), (608, 1_080)),
            ((3_840, 2_160), (1_920, 1_080), (1_920, 1_080)),
            ((4_096, 2_160), (3_840, 2_160), (3_840, 2_026)),
            ((1, 16_384), (1_920, 1_080), (2, 1_080)),
        ] {
            assert_eq!(shown(size, display), expected, "{size:?} on {display:?}");
        }
    }

    #[test]
    fn what_is_changed_is_said_and_how_the_video_was_encoded_is_kept() {
        let pair = Watched {
            distorted: Stored { size: (1_280, 720), bit_depth: 8 },
            ..watched(View::Tv1080p, (1_920, 1_080), 8, Some(24.0))
        };
        let choice = choose(&pair);
        assert_eq!((choice.size, choice.bit_depth), ((1_920, 1_080), 10));
        let (extractor, options) = &choice.options[0];
        let options: Vec<_> = options.iter().collect();
        assert_eq!(*extractor, "cambi");
        assert_eq!(options, [("enc_bitdepth", "8"), ("enc_height", "720"), ("enc_width", "1280")]);
        let why = choice.why.join("\n");
        for part in ["3 picture heights", "1280x720 to 1920x1080", "8 to 10 bits", "enc_width=1280"]
        {
            assert!(why.contains(part), "{part}: {why}");
        }
        for (size, counts_as) in [
            ((256, 144), (256, 150)),
            ((176, 144), (216, 150)),
            ((144, 176), (180, 216)),
            ((64, 9_000), (180, 7_680)),
        ] {
            let distorted = Stored { size, bit_depth: 10 };
            let small =
                choose(&Watched { distorted, ..watched(View::Phone, (1_920, 1_080), 10, None) });
            let set = &small.options[0].1;
            let [width, height] = [counts_as.0, counts_as.1].map(|side| side.to_string());
            let set: Vec<_> = set.iter().collect();
            assert_eq!(set, [("enc_height", &*height), ("enc_width", &*width)]);
            assert!(small.why.join("\n").contains("counts as"), "{:?}", small.why);
        }
        let ready = choose(&watched(View::Tv1080p, (1_920, 1_080), 10, Some(24.0)));
        assert!(ready.options.is_empty());
        assert_eq!(ready.why.len(), 1);
    }
}
