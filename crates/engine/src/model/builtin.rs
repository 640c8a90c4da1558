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
    BuiltinModel {
        version: "vmaf_4k_v0.6.1neg",
        description: "as vmaf_4k_v0.6.1, without credit for enhancement",
        json: include_bytes!("../../models/vmaf_4k_v0.6.1neg.json"),
    },
    BuiltinModel {
        version: "vmaf_b_v0.6.3",
        description: "as vmaf_v0.6.1, with the 95 % interval of 20 models trained on redrawn material",
        json: include_bytes!("../../models/vmaf_b_v0.6.3.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_3d0h",
        description: "generation 1: HD television at three picture heights",
        json: include_bytes!("../../models/vmaf_v1.0.16_3d0h.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_5d0h",
        description: "generation 1: HD at five picture heights, such as a phone",
        json: include_bytes!("../../models/vmaf_v1.0.16_5d0h.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_3d0h_2160",
        description: "generation 1: 4K television at three picture heights",
        json: include_bytes!("../../models/vmaf_v1.0.16_3d0h_2160.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_1d5h_2160",
        description: "generation 1: 4K television at one and a half picture heights",
        json: include_bytes!("../../models/vmaf_v1.0.16_1d5h_2160.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_hfr_3d0h",
        description: "as vmaf_v1.0.16_3d0h, for 50 to 60 frames a second",
        json: include_bytes!("../../models/vmaf_v1.0.16_hfr_3d0h.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_hfr_5d0h",
        description: "as vmaf_v1.0.16_5d0h, for 50 to 60 frames a second",
        json: include_bytes!("../../models/vmaf_v1.0.16_hfr_5d0h.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_hfr_3d0h_2160",
        description: "as vmaf_v1.0.16_3d0h_2160, for 50 to 60 frames a second",
        json: include_bytes!("../../models/vmaf_v1.0.16_hfr_3d0h_2160.json"),
    },
    BuiltinModel {
        version: "vmaf_v1.0.16_hfr_1d5h_2160",
        description: "as vmaf_v1.0.16_1d5h_2160, for 50 to 60 frames a second",
        json: include_bytes!("../../models/vmaf_v1.0.16_hfr_1d5h_2160.json"),
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
