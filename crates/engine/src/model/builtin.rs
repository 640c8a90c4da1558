//! The models that are compiled in.

/// A compiled-in model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltinModel {
    /// What `--model version=` calls it.
    pub version: &'static str,
    /// What it is for, in one line.
    pub description: &'static str,
    /// The file, byte for byte as published.
    pub json: &'static [u8],
}

const MODELS: &[BuiltinModel] = &[
    BuiltinModel {
        version: "vmaf_v0.6.1",
        description: "HD television at three picture heights; the default",
        json: include_bytes!("../../models/vmaf_v0.6.1.json"),
    },
    BuiltinModel {
        version: "vmaf_v0.6.1neg",
        description: "as vmaf_v0.6.1, without credit for enhancement such as sharpening",
        json: include_bytes!("../../models/vmaf_v0.6.1neg.json"),
    },
    BuiltinModel {
        version: "vmaf_4k_v0.6.1",
        description: "4K television at one and a half picture heights",
        json: include_bytes!("../../models/vmaf_4k_v0.6.1.json"),
    },
];

/// Every compiled-in model, the default first.
#[must_use]
pub fn builtin_models() -> &'static [BuiltinModel] {
    MODELS
}

pub(super) fn versions() -> String {
    MODELS.iter().map(|model| model.version).collect::<Vec<_>>().join(", ")
}
