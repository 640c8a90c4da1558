//! Options of CAMBI, checked once against the size of the pictures.

use std::fmt;

use super::SCALES;
use super::luminance::{Eotf, Luminances};
use super::visibility::Visibility;

/// At least one side of what is scored must have this many samples.
pub const SIDE_MIN: u32 = 216;

/// The largest window, in samples a side, that the table of reciprocals allows.
const WINDOW_MAX: u32 = 65;

/// The default of both `topk` and `cambi_topk`.
const TOPK_DEFAULT: f64 = 0.6;

/// The options of CAMBI as feature options name them, unchecked.
#[derive(Clone, Debug, PartialEq)]
pub struct CambiOptions {
    /// `cambi_max_val`: larger scores become this one, 0 to 1000.
    pub max_value: f64,
    /// `enc_width`: width of the encode that was scaled to this picture, 180 to 7680.
    pub enc_width: Option<u32>,
    /// `enc_height`: its height, 150 to 7680. Width and height count only together.
    pub enc_height: Option<u32>,
    /// `enc_bitdepth`: bits of the encode, 6 to 16; by default those of the picture. Below ten,
    /// dither is averaged away first.
    pub enc_bit_depth: Option<u32>,
    /// `src_width`: width that the reference is scored at, 320 to 7680.
    pub src_width: Option<u32>,
    /// `src_height`: its height, 200 to 4320. Width and height count only together.
    pub src_height: Option<u32>,
    /// `window_size`: side of the window at 3840x2160, 15 to 127.
    pub window_size: u32,
    /// `topk`: share of the samples, those with most contrast, that is averaged, 0.0001 to 1.
    pub topk: f64,
    /// `cambi_topk`: the same; counts when `topk` has its default.
    pub cambi_topk: f64,
    /// `tvi_threshold`: least relative step of luminance that is seen, 0.0001 to 1.
    pub tvi_threshold: f64,
    /// `cambi_vis_lum_threshold`: luminance below which no banding is seen, 0 to 300.
    pub visible_luminance: f64,
    /// `max_log_contrast`: steps of up to two to this power levels of ten bits count, 0 to 5.
    pub max_log_contrast: u32,
    /// `eotf`: the display.
    pub eotf: Eotf,
    /// `cambi_eotf`: the same; goes before `eotf` unless it has its default.
    pub cambi_eotf: Eotf,
    /// `cambi_high_res_speedup`: halve the picture first when it is at least 1080, 1440 or 2160
    /// lines of 16:9; any other number from 0 to 2160 never does.
    pub high_res_speedup: u32,
    /// `full_ref`: score the reference too.
    pub full_reference: bool,
}

impl Default for CambiOptions {
    fn default() -> Self {
        Self {
            max_value: 1000.0,
            enc_width: None,
            enc_height: None,
            enc_bit_depth: None,
            src_width: None,
            src_height: None,
            window_size: 65,
            topk: TOPK_DEFAULT,
            cambi_topk: TOPK_DEFAULT,
            tvi_threshold: 0.019,
            visible_luminance: 0.0,
            max_log_contrast: 2,
            eotf: Eotf::Bt1886,
            cambi_eotf: Eotf::Bt1886,
            high_res_speedup: 0,
            full_reference: false,
        }
    }
}

/// Which picture of a pair is scored: they may be scaled differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CambiSide {
    /// The degraded picture, at the size of its encode.
    Distorted,
    /// The undegraded one, at the size of its source.
    Reference,
}

/// The size a picture is scored at and the window that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Samples a side; odd.
    pub(super) window: u32,
}

impl Geometry {
    fn new([width, height]: [u32; 2], window_size: u32, halved: bool) -> Self {
        let scaled = (window_size * (width + height) / 375) >> 4;
        let window = if halved { (scaled + 1) >> 1 } else { scaled } | 1;
        Self { width: width as usize, height: height as usize, window }
    }

    /// Samples on each side of the window's middle.
    pub(super) fn reach(&self) -> usize {
        (self.window >> 1) as usize
    }

    /// Width and height of each scale.
    pub(super) fn scales(&self, halved: bool) -> [[usize; 2]; SCALES] {
        let half = |sides: [usize; 2]| sides.map(|side| side.div_ceil(2));
        let full = [self.width, self.height];
        let mut sides = if halved { half(full) } else { full };
        std::array::from_fn(|_| {
            let current = sides;
            sides = half(sides);
            current
        })
    }
}

/// Checked options and what follows from them for pictures of one size and bit depth.
#[derive(Clone, Debug)]
pub struct CambiParams {
    options: CambiOptions,
    picture: [usize; 2],
    bit_depth: u32,
    sides: [Geometry; 2],
    halved: bool,
    visibility: Visibility,
}

impl CambiParams {
    /// Checks `options` for pictures of `width` by `height` samples of `bit_depth` bits.
    ///
    /// # Errors
    /// [`CambiError`] names the first option that is out of range, or why no score is defined.
    pub fn new(
        options: CambiOptions,
        width: usize,
        height: usize,
        bit_depth: u32,
    ) -> Result<Self, CambiError> {
        check_ranges(&options)?;
        let picture = [width as u32, height as u32];
        let [encode, source] = sizes(&options, picture)?;
        let halved = is_halved(options.high_res_speedup, encode);
        let sides = [encode, source].map(|size| Geometry::new(size, options.window_size, halved));
        let window = sides[0].window.max(sides[1].window);
        if window > WINDOW_MAX {
            return Err(CambiError::WindowTooLarge { window });
        }
        let scored = if options.full_reference { &sides[..] } else { &sides[..1] };
        for side in scored {
            let narrow = |[width, height]: [usize; 2]| width.min(height) < side.reach();
            if side.scales(halved).into_iter().any(narrow) {
                let Geometry { width, height, window } = *side;
                return Err(CambiError::TooNarrow { width, height, window });
            }
        }
        let eotf =
            if options.cambi_eotf == Eotf::Bt1886 { options.eotf } else { options.cambi_eotf };
        let luminances = Luminances::new(eotf);
        let dimmest = luminances
            .first_reaching(options.visible_luminance)
            .expect("white reaches every threshold in range");
        let steps = 1_usize << options.max_log_contrast;
        let brightest: Vec<u16> = (1..=steps as i32)
            .map(|step| luminances.visible_up_to(step, options.tvi_threshold))
            .collect();
        let visibility = Visibility::new(&brightest, dimmest);
        let picture = [width, height];
        Ok(Self { options, picture, bit_depth, sides, halved, visibility })
    }

    /// The options, as checked.
    pub fn options(&self) -> &CambiOptions {
        &self.options
    }

    /// Whether the spatial mask is followed by halving the picture.
    pub fn is_halved(&self) -> bool {
        self.halved
    }

    /// Width and height that a picture is scored at.
    pub fn size(&self, side: CambiSide) -> [usize; 2] {
        let Geometry { width, height, .. } = *self.geometry(side);
        [width, height]
    }

    /// Side of the window, in samples of each scale; odd.
    pub fn window(&self, side: CambiSide) -> u32 {
        self.geometry(side).window
    }

    pub(super) fn geometry(&self, side: CambiSide) -> &Geometry {
        match side {
            CambiSide::Distorted => &self.sides[0],
            CambiSide::Reference => &self.sides[1],
        }
    }

    /// Whether a picture is one that these parameters are for.
    pub(super) fn takes(&self, width: usize, height: usize, bit_depth: u32) -> bool {
        self.picture == [width, height] && self.bit_depth == bit_depth
    }

    pub(super) fn averages_dither(&self) -> bool {
        self.options.enc_bit_depth.unwrap_or(self.bit_depth) < 10
    }

    /// Of `count` samples, how many are averaged.
    pub(super) fn pooled(&self, count: usize) -> usize {
        let CambiOptions { topk, cambi_topk, .. } = self.options;
        let share = if topk == TOPK_DEFAULT { cambi_topk } else { topk };
        ((share * count as f64) as usize).clamp(1, count)
    }

    pub(super) fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// The largest weight of a step; heat maps are scaled by it.
    pub(super) fn weight_max(&self) -> u32 {
        super::visibility::weight((1 << self.options.max_log_contrast) - 1)
    }
}

/// The sizes of encode and source.
fn sizes(options: &CambiOptions, picture: [u32; 2]) -> Result<[[u32; 2]; 2], CambiError> {
    let given = |width: Option<u32>, height: Option<u32>| match (width, height) {
        (Some(width), Some(height)) => [width, height],
        _ => picture,
    };
    let source = given(options.src_width, options.src_height);
    let mut encode = given(options.enc_width, options.enc_height);
    // An encode that was larger than the picture is scored at the picture's size.
    if encode[0] > picture[0] || encode[1] > picture[1] {
        encode = picture;
    }
    for [width, height] in [encode, source] {
        if width < SIDE_MIN && height < SIDE_MIN {
            return Err(CambiError::TooSmall { width, height });
        }
    }
    let crossed = |a: [u32; 2], b: [u32; 2]| a[0] > b[0] && a[1] < b[1];
    if crossed(source, encode) || crossed(encode, source) {
        return Err(CambiError::ShapesCross { encode, source });
    }
    Ok([encode, source])
}

fn is_halved(high_res_speedup: u32, [width, height]: [u32; 2]) -> bool {
    let least = match high_res_speedup {
        1080 => 1920 * 1080,
        1440 => 2560 * 1440,
        2160 => 3840 * 2160,
        _ => return false,
    };
    u64::from(width) * u64::from(height) >= least
}

fn check_ranges(options: &CambiOptions) -> Result<(), CambiError> {
    let whole = |value: Option<u32>| value.map(f64::from);
    let ranges = [
        ("cambi_max_val", Some(options.max_value), 0.0, 1000.0),
        ("enc_width", whole(options.enc_width), 180.0, 7680.0),
        ("enc_height", whole(options.enc_height), 150.0, 7680.0),
        ("enc_bitdepth", whole(options.enc_bit_depth), 6.0, 16.0),
        ("src_width", whole(options.src_width), 320.0, 7680.0),
        ("src_height", whole(options.src_height), 200.0, 4320.0),
        ("window_size", whole(Some(options.window_size)), 15.0, 127.0),
        ("topk", Some(options.topk), 0.0001, 1.0),
        ("cambi_topk", Some(options.cambi_topk), 0.0001, 1.0),
        ("tvi_threshold", Some(options.tvi_threshold), 0.0001, 1.0),
        ("cambi_vis_lum_threshold", Some(options.visible_luminance), 0.0, 300.0),
        ("max_log_contrast", whole(Some(options.max_log_contrast)), 0.0, 5.0),
        ("cambi_high_res_speedup", whole(Some(options.high_res_speedup)), 0.0, 2160.0),
    ];
    for (option, value, min, max) in ranges {
        match value {
            Some(value) if !(min..=max).contains(&value) => {
                return Err(CambiError::OutOfRange { option, value, min, max });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why CAMBI cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CambiError {
    /// An option has a value that it cannot have.
    OutOfRange {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The least it can be.
        min: f64,
        /// The most it can be.
        max: f64,
    },
    /// Both sides of encode or source are below [`SIDE_MIN`].
    TooSmall {
        /// Samples in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Encode and source: one is wider, the other higher.
    ShapesCross {
        /// Width and height of the encode.
        encode: [u32; 2],
        /// Width and height of the source.
        source: [u32; 2],
    },
    /// The window outgrows the table of reciprocals.
    WindowTooLarge {
        /// Samples a side.
        window: u32,
    },
    /// At some scale a side has fewer samples than half the window.
    TooNarrow {
        /// Samples in a row, unscaled.
        width: usize,
        /// Rows, unscaled.
        height: usize,
        /// Samples a side of the window.
        window: u32,
    },
    /// The picture is not of the size and bit depth that the parameters were made for.
    OtherShape,
    /// A sample does not fit the bit depth.
    SampleTooLarge {
        /// The bit depth.
        bit_depth: u32,
    },
}

impl fmt::Display for CambiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { option, value, min, max } => {
                write!(f, "{option} is {value}: it must be {min} to {max}")
            }
            Self::TooSmall { width, height } => {
                write!(f, "cambi of {width}x{height} samples: at least one side must be {SIDE_MIN}")
            }
            Self::ShapesCross { encode: [ew, eh], source: [sw, sh] } => write!(
                f,
                "cambi: of encode ({ew}x{eh}) and source ({sw}x{sh}) one is wider, the other higher"
            ),
            Self::WindowTooLarge { window } => write!(
                f,
                "cambi: window_size gives a window of {window} samples for this size: at most \
                 {WINDOW_MAX} are possible"
            ),
            Self::TooNarrow { width, height, window } => write!(
                f,
                "cambi of {width}x{height} samples: too narrow for a window of {window} at the \
                 smallest scale"
            ),
            Self::OtherShape => {
                f.write_str("cambi: the picture differs in size or bit depth from those before")
            }
            Self::SampleTooLarge { bit_depth } => {
                write!(f, "cambi: the picture has samples above the range of {bit_depth} bits")
            }
        }
    }
}

impl std::error::Error for CambiError {}
