//! The cases that are captured: which clips, and what is asked of them.

use types::ChromaSubsampling;

use super::Case;
use crate::clip::{ClipSpec, Content};

/// What a case asks of libvmaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Ends the names of its cases.
    pub name: &'static str,
    /// Models as `--model` takes them, in the order in which they are given.
    pub models: &'static [&'static str],
    /// Feature requests, in the order in which they are given.
    pub requests: &'static [&'static str],
}

/// Three built-in models at once.
const MODELS: Ask = Ask {
    name: "models",
    models: &[
        "version=vmaf_v0.6.1:name=vmaf",
        "version=vmaf_v0.6.1neg:name=neg",
        "version=vmaf_4k_v0.6.1:name=uhd",
    ],
    requests: &[],
};

/// Bootstrapped collections among models that are bent.
const BOOTSTRAP: Ask = Ask {
    name: "bootstrap",
    models: &[
        "version=vmaf_b_v0.6.3:name=b",
        "version=vmaf_v0.6.1:name=free:disable_clip:vif.vif_enhn_gain_limit=1.25",
        "version=vmaf_b_v0.6.3:name=phone:enable_transform",
        "version=vmaf_4k_v0.6.1neg:name=uhdneg",
        "version=vmaf_v0.6.1:name=handheld:enable_transform=true",
        "version=vmaf_b_v0.6.3:name=wide:disable_clip:adm.adm_enhn_gain_limit=1.0",
    ],
    requests: &[],
};

/// No model, the extractors of those with their debug outputs.
pub(super) const DEBUG: Ask = Ask {
    name: "debug",
    models: &[],
    requests: &["vif=debug=true", "motion=debug=true", "adm=debug=true"],
};

/// Options that those models do not use.
const OPTIONS: Ask = Ask {
    name: "options",
    models: &[],
    requests: &[
        "vif=vif_enhn_gain_limit=1.2:vif_skip_scale0=true:debug=true",
        "adm=adm_enhn_gain_limit=1.0:adm_dlm_weight=0.7:adm_min_val=0.5:adm_noise_weight=0.02",
        "adm=adm_norm_view_dist=5:adm_skip_scale0=true",
        "motion=motion_blend_factor=0.5:motion_blend_offset=2:motion_max_val=12",
        "motion=motion_fps_weight=2.5",
        "motion=motion_force_zero=true",
    ],
};

/// Motion over a window of five frames, averaged, and both.
const MOTION: Ask = Ask {
    name: "motion",
    models: &[],
    requests: &[
        "motion=debug=true",
        "motion=motion_five_frame_window=true:motion_moving_average=true:debug=true",
        "motion=motion_moving_average=true",
        "motion=motion_five_frame_window=true:motion_blend_factor=0.5:motion_blend_offset=2:\
         motion_fps_weight=1.5:motion_max_val=18",
        "motion=motion_moving_average=true:motion_blend_factor=0.25:motion_blend_offset=1:\
         motion_max_val=6",
        "motion=motion_five_frame_window=true:motion_moving_average=true:motion_force_zero=true",
    ],
};

/// Banding at the size of the encode, in full reference, and as the first generation of models has
/// it.
const CAMBI: Ask = Ask {
    name: "cambi",
    models: &[],
    requests: &[
        "cambi=full_ref=true",
        "cambi=cambi_high_res_speedup=1080:cambi_vis_lum_threshold=0.06:cambi_max_val=17",
        "cambi=enc_width=300:enc_height=200:enc_bitdepth=10:cambi_topk=0.3:window_size=127",
        "cambi=cambi_eotf=pq:max_log_contrast=4:tvi_threshold=0.05:topk=0.9",
    ],
};

/// Banding at other sizes of encode and source, one of them larger than the picture, and by each of
/// both names of the display's curve.
const CAMBI_SIZES: Ask = Ask {
    name: "cambi_sizes",
    models: &[],
    requests: &[
        "cambi=full_ref=true:src_width=400:src_height=300:enc_width=320:enc_height=240",
        "cambi=src_width=640:src_height=400",
        "cambi=enc_width=333:enc_height=251:enc_bitdepth=8",
        "cambi=enc_width=960:enc_height=720:cambi_max_val=3",
        "cambi=enc_width=402",
        "cambi=eotf=pq:cambi_vis_lum_threshold=2",
        "cambi=cambi_eotf=pq:eotf=bt1886:tvi_threshold=0.01",
        "cambi=topk=0.1:cambi_topk=0.5:window_size=31:max_log_contrast=0",
    ],
};

/// The same where the source is larger than the picture.
const CAMBI_SOURCE: Ask = Ask {
    name: "cambi_source",
    models: &[],
    requests: &[
        "cambi=full_ref=true:src_width=640:src_height=480:enc_width=400:enc_height=300:eotf=pq",
    ],
};

/// Every size from which large pictures may be halved first.
const CAMBI_HALVED: Ask = Ask {
    name: "cambi_halved",
    models: &[],
    requests: &[
        "cambi=cambi_high_res_speedup=1080",
        "cambi=cambi_high_res_speedup=1440:full_ref=true",
        "cambi=cambi_high_res_speedup=2160",
        "cambi=cambi_high_res_speedup=1080:enc_width=1280:enc_height=720",
        "cambi=cambi_high_res_speedup=720",
    ],
};

/// The error of every plane, in three scales.
const PLANES: Ask =
    Ask { name: "planes", models: &[], requests: &["psnr=enable_mse=true", "psnr_hvs", "ciede"] };

/// Those that take 16 bits, with the options of the first.
const DEEP_PLANES: Ask = Ask {
    name: "deep_planes",
    models: &[],
    requests: &["ciede", "psnr=reduced_hbd_peak=true:min_sse=0.5"],
};

/// The luma plane alone.
const LUMA_ERROR: Ask = Ask {
    name: "luma_error",
    models: &[],
    requests: &["psnr=enable_chroma=false:enable_mse=true:min_sse=1000"],
};

/// The error of the whole clip, by every option that bears on it.
const CLIP_ERROR: Ask =
    Ask { name: "clip_error", models: &[], requests: &["psnr=enable_apsnr=true", "motion"] };
const CLIP_ERROR_REDUCED: Ask = Ask {
    name: "clip_error_reduced",
    models: &[],
    requests: &["psnr=reduced_hbd_peak=true:enable_apsnr=true:min_sse=0.5"],
};
const CLIP_ERROR_LUMA: Ask = Ask {
    name: "clip_error_luma",
    models: &[],
    requests: &["psnr=enable_chroma=false:enable_apsnr=true"],
};

/// SpEED by default, as the models of generation 1 ask for it, and with options that they do not
/// use.
const SPEED: Ask = Ask {
    name: "speed",
    models: &[],
    requests: &[
        "speed_chroma",
        "speed_temporal",
        "speed_chroma=speed_nn_floor=0.1:speed_sigma_nn=0.19:speed_weight_var_mode=5\
         :speed_max_val=45",
        "speed_chroma=speed_nn_floor=0.1:speed_sigma_nn=0.19:speed_weight_var_mode=5\
         :speed_max_val=45:speed_prescale=1.2:speed_prescale_method=bilinear",
        "speed_chroma=speed_kernelscale=2:speed_weight_var_mode=1:speed_prescale=1.5",
        "speed_chroma=speed_kernelscale=0.5:speed_weight_var_mode=2:speed_prescale=1.3\
         :speed_prescale_method=bicubic",
        "speed_chroma=speed_weight_var_mode=3:speed_prescale=0.9:speed_prescale_method=lanczos4",
        "speed_chroma=speed_weight_var_mode=4",
        "speed_chroma=speed_weight_var_mode=6:speed_kernelscale=3",
        "speed_temporal=speed_use_ref_diff=true:speed_max_val=2",
        "speed_temporal=speed_prescale=0.6:speed_prescale_method=bilinear:speed_nn_floor=0.5",
    ],
};

/// Structural similarity with its parts.
const SSIM: Ask = Ask {
    name: "ssim",
    models: &[],
    requests: &["float_ssim=enable_lcs=true", "float_ms_ssim=enable_lcs=true"],
};

/// The same in decibels, at full size.
const SSIM_DECIBELS: Ask = Ask {
    name: "ssim_db",
    models: &[],
    requests: &[
        "float_ssim=enable_db=true:clip_db=true:scale=1",
        "float_ms_ssim=enable_db=true:clip_db=true",
    ],
};

/// Structural similarity of pictures shrunk by a factor that no power of two is.
const SSIM_SCALE: Ask = Ask {
    name: "ssim_scale",
    models: &[],
    requests: &["float_ssim=enable_lcs=true:scale=5", "float_ms_ssim"],
};

/// The models of the first generation, one bent as for an encode of another size.
const GENERATION_1: Ask = Ask {
    name: "generation_1",
    models: &[
        "version=vmaf_v1.0.16_3d0h:name=tv",
        "version=vmaf_v1.0.16_5d0h:name=phone",
        "version=vmaf_v1.0.16_3d0h_2160:name=uhd",
        "version=vmaf_v1.0.16_1d5h_2160:name=near",
        "version=vmaf_v1.0.16_3d0h:name=encode:disable_clip:cambi.enc_width=300:\
         cambi.enc_height=200:cambi.enc_bitdepth=8",
    ],
    requests: &[],
};

/// Those for high frame rates.
const HIGH_RATE: Ask = Ask {
    name: "high_rate",
    models: &[
        "version=vmaf_v1.0.16_hfr_3d0h:name=tv",
        "version=vmaf_v1.0.16_hfr_5d0h:name=phone",
        "version=vmaf_v1.0.16_hfr_3d0h_2160:name=uhd",
        "version=vmaf_v1.0.16_hfr_1d5h_2160:name=near",
        "version=vmaf_v0.6.1:name=old",
    ],
    requests: &[],
};

/// Every case that is captured.
#[must_use]
pub fn cases() -> Vec<Case> {
    let clip = |content, (width, height), bit_depth, frame_count| {
        let seed = u64::from(width) * 1_000 + u64::from(bit_depth);
        let spec = ClipSpec::texture(seed, width, height, frame_count).showing(content);
        // libvmaf's reader mistakes odd sizes with subsampled chroma.
        spec.with_format(ChromaSubsampling::C444, bit_depth)
    };
    let case = |content: Content, size: (u32, u32), bit_depth: u8, frame_count, ask: Ask| {
        let clip = clip(content, size, bit_depth, frame_count);
        let name =
            format!("{content:?}_{}x{}_{bit_depth}_{}", size.0, size.1, ask.name).to_lowercase();
        Case { name, clip, ask, subsample_interval: 1 }
    };
    let mut cases = Vec::new();
    for (size, frame_count) in [((64, 64), 6), ((97, 65), 6), ((176, 144), 6), ((355, 241), 4)] {
        for bit_depth in [8, 10, 12, 16] {
            cases.push(case(Content::Texture, size, bit_depth, frame_count, MODELS));
        }
    }
    cases.push(case(Content::Texture, (576, 324), 8, 4, MODELS));
    cases.push(case(Content::Texture, (576, 324), 10, 3, MODELS));
    for content in [
        Content::Noise,
        Content::Flat,
        Content::Checkerboard,
        Content::Blocks,
        Content::Equal,
        Content::Enhanced,
    ] {
        cases.push(case(content, (97, 65), 8, 3, MODELS));
        cases.push(case(content, (120, 90), 10, 3, MODELS));
    }
    cases.push(case(Content::Texture, (176, 144), 8, 4, DEBUG));
    cases.push(case(Content::Blocks, (97, 65), 12, 3, DEBUG));
    for content in [Content::Texture, Content::Noise, Content::Equal, Content::Enhanced] {
        cases.push(case(content, (97, 65), 8, 3, BOOTSTRAP));
    }
    cases.push(case(Content::Blocks, (120, 90), 10, 3, BOOTSTRAP));
    cases.push(case(Content::Texture, (120, 90), 8, 4, OPTIONS));
    cases.push(case(Content::Enhanced, (64, 64), 10, 4, OPTIONS));
    cases.push(case(Content::Texture, (40, 34), 8, 1, MODELS));
    cases.push(case(Content::Texture, (34, 48), 8, 2, MODELS));
    // As few frames as make each rule of the first and the last ones count, and more.
    for (content, size, bit_depth, frame_count) in [
        (Content::Texture, (36, 34), 8, 1),
        (Content::Texture, (34, 36), 8, 2),
        (Content::Noise, (33, 35), 8, 3),
        (Content::Texture, (35, 33), 10, 4),
        (Content::Texture, (97, 65), 8, 9),
        (Content::Noise, (64, 64), 12, 7),
        (Content::Checkerboard, (97, 65), 16, 6),
    ] {
        cases.push(case(content, size, bit_depth, frame_count, MOTION));
    }
    for (interval, frame_count) in [(2, 7), (3, 8)] {
        let mut subsampled = case(Content::Texture, (80, 60), 8, frame_count, MOTION);
        subsampled.name = format!("{}_every_{interval}", subsampled.name);
        subsampled.subsample_interval = interval;
        cases.push(subsampled);
    }
    for (content, size, bit_depth) in [
        (Content::Texture, (320, 240), 8),
        (Content::Blocks, (355, 241), 8),
        (Content::Blocks, (355, 241), 10),
        (Content::Texture, (320, 240), 12),
        (Content::Blocks, (218, 96), 16),
    ] {
        cases.push(case(content, size, bit_depth, 2, CAMBI));
    }
    cases.push(case(Content::Bands, (480, 360), 8, 2, CAMBI_SIZES));
    cases.push(case(Content::Bands, (480, 360), 10, 2, CAMBI_SIZES));
    cases.push(case(Content::Bands, (480, 360), 8, 2, CAMBI_SOURCE));
    for (size, bit_depth) in [((1920, 1080), 8), ((2560, 1440), 10), ((3840, 2160), 8)] {
        cases.push(case(Content::Bands, size, bit_depth, 1, CAMBI_HALVED));
    }
    cases.extend(plane_cases());
    cases.extend(generation_1_cases());
    cases.extend(footage_cases());
    for (interval, frame_count) in [(3, 8), (5, 6)] {
        let mut subsampled = case(Content::Texture, (80, 60), 8, frame_count, MODELS);
        subsampled.name = format!("{}_every_{interval}", subsampled.name);
        subsampled.subsample_interval = interval;
        cases.push(subsampled);
    }
    cases.extend(speed_cases());
    for bit_depth in [8, 10, 12, 16] {
        cases.push(case(Content::Texture, (355, 241), bit_depth, 2, SSIM));
    }
    cases.push(case(Content::Texture, (576, 390), 8, 2, SSIM));
    for content in [Content::Flat, Content::Blocks, Content::Equal, Content::Enhanced] {
        cases.push(case(content, (179, 177), 8, 2, SSIM));
    }
    for (content, bit_depth) in
        [(Content::Texture, 8), (Content::Equal, 10), (Content::Enhanced, 12), (Content::Flat, 16)]
    {
        cases.push(case(content, (193, 176), bit_depth, 2, SSIM_DECIBELS));
    }
    for bit_depth in [8, 16] {
        cases.push(case(Content::Texture, (205, 195), bit_depth, 2, SSIM_SCALE));
    }
    cases
}

/// Whole models of generation 1: sizes that SpEED sees detail in even when it halves them, and some
/// in which it sees none; grey ones, whose chroma follows from luma; and one as videos are stored.
fn generation_1_cases() -> impl Iterator<Item = Case> {
    use ChromaSubsampling::{C420, C444};
    let cases = [
        (Content::Texture, (448, 288), C444, 8, 3, GENERATION_1),
        (Content::Enhanced, (448, 288), C444, 10, 2, GENERATION_1),
        (Content::Grey, (241, 225), C444, 8, 2, GENERATION_1),
        (Content::Grey, (448, 288), C444, 10, 2, GENERATION_1),
        (Content::Noise, (229, 231), C444, 10, 2, GENERATION_1),
        (Content::Equal, (240, 224), C444, 8, 2, GENERATION_1),
        (Content::Blocks, (240, 224), C444, 12, 2, GENERATION_1),
        (Content::Texture, (704, 576), C420, 10, 2, GENERATION_1),
        (Content::Bands, (1920, 1080), C420, 8, 2, GENERATION_1),
        (Content::Bands, (1920, 1080), C420, 10, 2, HIGH_RATE),
        (Content::Texture, (448, 288), C444, 8, 6, HIGH_RATE),
        (Content::Texture, (240, 226), C444, 10, 2, HIGH_RATE),
        (Content::Grey, (240, 226), C444, 8, 1, HIGH_RATE),
        (Content::Noise, (225, 227), C444, 12, 4, HIGH_RATE),
    ];
    cases.into_iter().map(|(content, size, chroma, bit_depth, frame_count, ask)| {
        let (width, height) = size;
        let seed = u64::from(width) * 1_000 + u64::from(bit_depth);
        let clip = ClipSpec::texture(seed, width, height, frame_count).showing(content);
        let clip = clip.with_format(chroma, bit_depth);
        let name = format!("{content:?}_{width}x{height}_{bit_depth}_{}", ask.name);
        Case { name: name.to_lowercase(), clip, ask, subsample_interval: 1 }
    })
}

/// Real footage, as it is and enlarged to what SpEED and CAMBI take.
fn footage_cases() -> impl Iterator<Item = Case> {
    let cases = [
        (1, 8, 12, MODELS),
        (2, 10, 4, MODELS),
        (1, 8, 6, BOOTSTRAP),
        (1, 8, 9, MOTION),
        (1, 8, 3, PLANES),
        (2, 8, 2, SSIM),
        (2, 8, 2, CAMBI),
        (4, 8, 3, SPEED),
        (4, 8, 6, GENERATION_1),
        (5, 10, 3, GENERATION_1),
        (4, 8, 6, HIGH_RATE),
    ];
    cases.into_iter().map(|(times, bit_depth, frame_count, ask)| {
        let clip = ClipSpec::footage(times, frame_count);
        let clip = clip.with_format(ChromaSubsampling::C420, bit_depth);
        let name = format!("footage_{}x{}_{bit_depth}_{}", clip.width, clip.height, ask.name);
        Case { name, clip, ask, subsample_interval: 1 }
    })
}

/// Cases in which chroma counts, in every format that libvmaf's reader takes.
fn plane_cases() -> Vec<Case> {
    const C420: ChromaSubsampling = ChromaSubsampling::C420;
    const C422: ChromaSubsampling = ChromaSubsampling::C422;
    const C444: ChromaSubsampling = ChromaSubsampling::C444;
    let case =
        |content: Content, size: (u32, u32), chroma: ChromaSubsampling, bit_depth, ask: Ask| {
            let (width, height) = size;
            let seed = u64::from(width) * 1_000 + u64::from(bit_depth);
            let clip = ClipSpec::texture(seed, width, height, 2).showing(content);
            let clip = clip.with_format(chroma, bit_depth);
            let (format, name) = (chroma.as_str(), ask.name);
            let name = format!("{content:?}_{width}x{height}_{format}_{bit_depth}_{name}");
            Case { name: name.to_lowercase(), clip, ask, subsample_interval: 1 }
        };
    let mut cases = Vec::new();
    for chroma in [C420, C422, C444] {
        cases.push(case(Content::Texture, (176, 144), chroma, 8, PLANES));
        cases.push(case(Content::Texture, (98, 66), chroma, 10, PLANES));
        cases.push(case(Content::Enhanced, (64, 64), chroma, 12, PLANES));
        cases.push(case(Content::Noise, (122, 90), chroma, 8, PLANES));
        cases.push(case(Content::Texture, (98, 66), chroma, 16, DEEP_PLANES));
        cases.push(case(Content::Noise, (64, 64), chroma, 16, DEEP_PLANES));
    }
    cases.push(case(Content::Blocks, (120, 90), C420, 10, PLANES));
    cases.push(case(Content::Texture, (97, 65), C444, 8, PLANES));
    cases.push(case(Content::Texture, (355, 241), C444, 10, PLANES));
    cases.push(case(Content::Equal, (64, 64), C420, 8, LUMA_ERROR));
    cases.push(case(Content::Texture, (64, 64), C420, 8, LUMA_ERROR));
    cases.push(case(Content::Texture, (98, 66), C420, 8, CLIP_ERROR));
    cases.push(case(Content::Equal, (64, 64), C420, 8, CLIP_ERROR));
    cases.push(case(Content::Noise, (64, 64), C422, 12, CLIP_ERROR));
    cases.push(case(Content::Texture, (120, 90), C420, 10, CLIP_ERROR_REDUCED));
    cases.push(case(Content::Noise, (64, 64), C444, 16, CLIP_ERROR_REDUCED));
    cases.push(case(Content::Texture, (64, 64), C420, 8, CLIP_ERROR_LUMA));
    // Frames that are left out of the log count in the clip.
    let mut subsampled = case(Content::Blocks, (98, 66), C420, 8, CLIP_ERROR);
    subsampled.clip.frame_count = 5;
    subsampled.name.push_str("_every_2");
    subsampled.subsample_interval = 2;
    cases.push(subsampled);
    cases
}

/// Even sizes with every subsampling; large enough for more windows of 5x5 than such a window has
/// samples, without which every covariance is singular.
fn speed_cases() -> impl Iterator<Item = Case> {
    use ChromaSubsampling::{C420, C422, C444};
    let cases = [
        (Content::Texture, (576, 416), C420, 8),
        (Content::Texture, (576, 416), C420, 10),
        (Content::Texture, (448, 288), C422, 12),
        (Content::Texture, (304, 272), C444, 16),
        (Content::Noise, (448, 448), C420, 8),
        (Content::Blocks, (448, 288), C422, 10),
        (Content::Checkerboard, (304, 272), C444, 8),
        (Content::Flat, (352, 352), C420, 8),
        (Content::Enhanced, (418, 394), C420, 10),
    ];
    cases.into_iter().map(|(content, (width, height), chroma, bit_depth)| {
        let seed = u64::from(width) * 1_000 + u64::from(bit_depth);
        let clip = ClipSpec::texture(seed, width, height, 3);
        let clip = clip.showing(content).with_format(chroma, bit_depth);
        let name = format!("{content:?}_{width}x{height}_{chroma}_{bit_depth}_{}", SPEED.name);
        Case { name: name.to_lowercase(), clip, ask: SPEED, subsample_interval: 1 }
    })
}
