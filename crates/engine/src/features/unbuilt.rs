//! What libvmaf has and nothing here computes, so that asking for it is not answered as a slip of the
//! pen is.

/// Extractors by libvmaf's names, each with what serves in its place.
const EXTRACTORS: &[(&str, &str)] = &[
    ("float_adm", "`adm` measures the same in integers"),
    ("float_vif", "`vif` measures the same in integers"),
    ("float_motion", "`motion` measures the same in integers"),
    ("float_psnr", "`psnr` measures the same from exact sums"),
    ("float_ansnr", "nothing that is built measures the same; `psnr` is the nearest"),
    ("float_moment", "nothing that is built measures the same"),
    ("ssim", "libvmaf's own program does not offer it either; `float_ssim` measures the same"),
    ("null", "it computes nothing"),
    ("adm_cuda", "`adm` gives its values, on the CPU"),
    ("vif_cuda", "`vif` gives its values, on the CPU"),
    ("motion_cuda", "`motion` gives its values, on the CPU"),
];

/// How the features of libvmaf's floating-point extractors begin in its models.
const FLOAT_FEATURES: &str = "VMAF_feature_";

/// The extractor of that name as libvmaf has it, and what serves in its place; `None` when libvmaf
/// has none either, or it is built.
pub(super) fn extractor(name: &str) -> Option<(&'static str, &'static str)> {
    EXTRACTORS.iter().copied().find(|(known, _)| *known == name)
}

/// What to say, after a semicolon, of a feature that a model reads and that is not built.
pub(super) fn of_feature(name: &str) -> &'static str {
    if name.starts_with(FLOAT_FEATURES) {
        "; libvmaf computes it in floating point, which is not built here: take a model of integer features, \
         whose name has no `float`"
    } else {
        ""
    }
}
