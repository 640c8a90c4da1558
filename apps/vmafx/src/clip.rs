//! The clip pair that is compiled in, and its score by libvmaf's scalar code.

use std::path::{Path, PathBuf};

const REFERENCE: &[u8] = include_bytes!("../../../demo/carphone_pristine.y4m");
const DISTORTED: &[u8] = include_bytes!("../../../demo/carphone_distorted.y4m");

/// What libvmaf 3.2 gives for the pair with `vmaf_v0.6.1`, pooled by the mean, at full precision.
pub(crate) const GOLDEN_SCORE: f64 = 36.876_214_102_366_12;

/// Writes the pair into a folder; reference first.
pub(crate) fn write_into(folder: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    let (reference, distorted) = (folder.join("reference.y4m"), folder.join("distorted.y4m"));
    std::fs::write(&reference, REFERENCE)?;
    std::fs::write(&distorted, DISTORTED)?;
    Ok((reference, distorted))
}
