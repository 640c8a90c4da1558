//! `cambi`: how much banding the distorted picture shows and, in full reference, the reference.

use kernels::Isa;
use kernels::arena::Arena;
use kernels::cambi::{
    CambiError, CambiHeatMap, CambiOptions, CambiParams, CambiScratch, CambiSide, Eotf, cambi,
};

use super::kind::Refusal;
use super::options::{CheckedOptions, OptionSpec, flag, folder, integer, real, word};
use super::outputs::{OutputSpec, When};
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::heat_map::{HeatMap, HeatMapSink, HeatMaps};
use crate::picture::PictureSpec;

/// The first is the default.
const EOTFS: &[&str] = &["bt1886", "pq"];

/// Where the heat maps of the distorted picture go.
pub(super) const HEAT_MAPS: &str = "heatmaps_path";

/// A size or depth that is not given is that of the picture.
const NOT_GIVEN: i32 = 0;

pub(super) const OPTIONS: &[OptionSpec] = &[
    word("cambi_eotf", "ceot", EOTFS),
    integer("cambi_high_res_speedup", "hrs", 0, (0, 2160)),
    real("cambi_max_val", "cmxv", 1000.0, (0.0, 1000.0)),
    real("cambi_topk", "ctpk", 0.6, (0.0001, 1.0)),
    real("cambi_vis_lum_threshold", "vlt", 0.0, (0.0, 300.0)),
    integer("enc_bitdepth", "encbd", NOT_GIVEN, (6, 16)),
    integer("enc_height", "ench", NOT_GIVEN, (150, 7680)),
    integer("enc_width", "encw", NOT_GIVEN, (180, 7680)),
    word("eotf", "eotf", EOTFS),
    flag("full_ref", None),
    folder(HEAT_MAPS),
    integer("max_log_contrast", "mlc", 2, (0, 5)),
    integer("src_height", "srch", NOT_GIVEN, (200, 4320)),
    integer("src_width", "srcw", NOT_GIVEN, (320, 7680)),
    real("topk", "topk", 0.6, (0.0001, 1.0)),
    real("tvi_threshold", "tvit", 0.019, (0.0001, 1.0)),
    integer("window_size", "ws", 65, (15, 127)),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("Cambi_feature_cambi_score").called("cambi"),
    OutputSpec::plain("cambi_source").when(When::Flag("full_ref")).without_options(),
    OutputSpec::plain("cambi_full_reference").when(When::Flag("full_ref")).without_options(),
];

pub(super) fn settings(options: &CheckedOptions) -> CambiOptions {
    let whole = |name: &str| options.real(name) as u32;
    let given = |name: &str| Some(whole(name)).filter(|value| *value != NOT_GIVEN as u32);
    let eotf = |name: &str| if options.real(name) == 0.0 { Eotf::Bt1886 } else { Eotf::Pq };
    CambiOptions {
        max_value: options.real("cambi_max_val"),
        enc_width: given("enc_width"),
        enc_height: given("enc_height"),
        enc_bit_depth: given("enc_bitdepth"),
        src_width: given("src_width"),
        src_height: given("src_height"),
        window_size: whole("window_size"),
        topk: options.real("topk"),
        cambi_topk: options.real("cambi_topk"),
        tvi_threshold: options.real("tvi_threshold"),
        visible_luminance: options.real("cambi_vis_lum_threshold"),
        max_log_contrast: whole("max_log_contrast"),
        eotf: eotf("eotf"),
        cambi_eotf: eotf("cambi_eotf"),
        high_res_speedup: whole("cambi_high_res_speedup"),
        full_reference: options.flag("full_ref"),
    }
}

/// What the kernel needs for pictures of this kind, or why it does not take them.
pub(super) fn prepare(
    options: &CambiOptions,
    spec: &PictureSpec,
) -> Result<CambiParams, CambiError> {
    let (width, height) = (spec.width as usize, spec.height as usize);
    CambiParams::new(options.clone(), width, height, u32::from(spec.format.bit_depth))
}

/// Whether pictures of this kind are taken.
pub(super) fn check(options: &CambiOptions, spec: &PictureSpec) -> Result<(), FeatureError> {
    prepare(options, spec).map(drop).map_err(|error| FeatureError::Unsupported {
        extractor: ExtractorKind::Cambi.name(),
        what: error.to_string(),
    })
}

/// The files of maps of such pictures in this folder.
pub(super) fn heat_maps(
    options: &CambiOptions,
    spec: &PictureSpec,
    folder: &str,
) -> Result<HeatMaps, CambiError> {
    Ok(HeatMaps::new(folder, prepare(options, spec)?.size(CambiSide::Distorted)))
}

/// Buffers.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    kernel: CambiScratch,
    /// The levels of one map.
    levels: Vec<u8>,
}

impl Scratch {
    /// As the kernel's.
    pub(super) fn swap_arena(&mut self, arena: &mut Arena) {
        self.kernel.swap_arena(arena);
    }
}

pub(super) fn run(
    params: &CambiParams,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut Scratch,
    maps: Option<&dyn HeatMapSink>,
    values: &mut [Vec<f64>],
) -> Result<(), Refusal> {
    let refusal = |error: CambiError| Refusal(error.to_string());
    let Scratch { kernel, levels } = scratch;
    let reference = if params.options().full_reference {
        let luma = frame.reference.picture.luma();
        let score = cambi(isa, &luma, CambiSide::Reference, params, kernel, None);
        Some(score.map_err(refusal)?)
    } else {
        None
    };
    for (place, (distorted, values)) in frame.distorted.iter().zip(values).enumerate() {
        let luma = distorted.picture.luma();
        let mut written = Ok(());
        let mut write = |map: CambiHeatMap<'_>| {
            let Some(sink) = maps.filter(|_| written.is_ok()) else { return };
            levels.clear();
            levels.extend(map.levels().flat_map(u16::to_le_bytes));
            let (frame_index, scale) = (frame.frame_index, map.scale);
            written = sink.write(&HeatMap { frame_index, distorted: place, scale, levels });
        };
        let shown: Option<&mut dyn FnMut(CambiHeatMap<'_>)> =
            if maps.is_some() { Some(&mut write) } else { None };
        let score = cambi(isa, &luma, CambiSide::Distorted, params, kernel, shown);
        let score = score.map_err(refusal)?;
        written.map_err(Refusal)?;
        let scores = params.scores(score, reference);
        values.push(scores.distorted);
        let full = scores.full_reference;
        values.extend(full.iter().flat_map(|full| [full.source, full.difference]));
    }
    Ok(())
}
