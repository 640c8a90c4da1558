//! Heat maps of `cambi`: where in a picture banding was found, for whoever can write files.
//!
//! The engine opens none. A plan says whether maps were asked for and how libvmaf calls their files
//! ([`HeatMaps`]); whoever runs it may give each analyzer a [`HeatMapSink`], which is shown every map.
//! Without a sink nothing is made.

use std::fmt;

use kernels::cambi::SCALES;

/// Files of one video's maps: one a scale.
pub const HEAT_MAP_FILES: usize = SCALES;

/// What a plan was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatMaps {
    /// The folder that was named.
    pub folder: String,
    /// The file of each scale in it, the largest first: frames back to back, each rows of 16-bit
    /// little-endian levels without padding.
    pub names: [String; HEAT_MAP_FILES],
}

impl HeatMaps {
    /// libvmaf's names. They tell the size of the encode and its halves, also where CAMBI halves
    /// the picture once more before the first scale.
    pub(crate) fn new(folder: &str, [width, height]: [usize; 2]) -> Self {
        let mut size = [width, height];
        let names = std::array::from_fn(|scale| {
            let [width, height] = size;
            size = size.map(|side| side.div_ceil(2));
            format!("cambi_heatmap_scale_{scale}_{width}x{height}_16b.gray")
        });
        Self { folder: folder.to_owned(), names }
    }
}

/// One scale of one picture.
#[derive(Debug, Clone, Copy)]
pub struct HeatMap<'a> {
    /// 0-based, counted from the first frame of the clip that is scored.
    pub frame_index: u64,
    /// The place of the picture among the distorted ones of its frame.
    pub distorted: usize,
    /// 0 is the largest.
    pub scale: usize,
    /// Rows of 16-bit little-endian levels, 65535 for the largest contrast there can be.
    pub levels: &'a [u8],
}

/// Takes maps, in whatever order frames are analyzed, on the threads that do so.
pub trait HeatMapSink: fmt::Debug + Send + Sync {
    /// Takes one map. All maps of a scale are of one size.
    ///
    /// # Errors
    /// What went wrong, in a sentence; the frame is refused with it.
    fn write(&self, map: &HeatMap<'_>) -> Result<(), String>;
}
