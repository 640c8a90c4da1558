//! What videos are brought to before they are compared: for `--view`, `--scale` and presets that
//! compare different bit depths.

use engine::{Stored, View, Watched, choose};
use media::{Conform, Depths, MediaConfig, Stop, VideoInfo};
use scoring::ScoreRequest;
use types::{Failure, FeatureOverride, MediaRef, ModelSpec, PixelFormat};

use super::args::ScoreArgs;

/// Distorted videos that can be scored in one walk, and their places among all.
#[derive(Debug)]
pub(super) struct Group {
    pub request: ScoreRequest,
    pub others: Vec<MediaRef>,
    pub numbers: Vec<usize>,
}

/// Groups the distorted videos, and says for each group why it is compared as it is. Where nothing is
/// to be changed there is one group, and no file is looked at.
///
/// # Errors
/// When the reference is to be looked at and cannot be opened.
pub(super) fn groups(
    args: &ScoreArgs,
    request: &ScoreRequest,
    others: &[MediaRef],
    config: &MediaConfig,
    stop: &Stop,
) -> Result<Vec<(Group, Vec<String>)>, Failure> {
    // One video is raised to what its reference is, or the other way round: no need to look.
    let depths_matter = request.depths == Depths::Largest && !others.is_empty();
    if args.view.is_none() && args.scale.is_none() && !depths_matter {
        let numbers = (0..=others.len()).collect();
        let group = Group { request: request.clone(), others: others.to_vec(), numbers };
        return Ok(vec![(group, Vec::new())]);
    }
    let look = |media: &MediaRef| {
        let opened = media::open(media, config, stop);
        opened.map(|video| video.info().clone()).map_err(|error| error.to_failure())
    };
    let reference = look(&request.reference)?;
    let mut groups: Vec<(Option<Stored>, Group, Vec<String>)> = Vec::new();
    for (number, distorted) in std::iter::once(&request.distorted).chain(others).enumerate() {
        // One that cannot be opened has a walk of its own, which says why; the others are scored.
        let info = look(distorted).ok();
        let kind = info.as_ref().map(stored);
        let alike = groups.iter_mut().find(|(known, ..)| kind.is_some() && *known == kind);
        if let Some((_, group, _)) = alike {
            group.others.push(distorted.clone());
            group.numbers.push(number);
            continue;
        }
        let request = ScoreRequest { distorted: distorted.clone(), ..request.clone() };
        let mut group = Group { request, others: Vec::new(), numbers: vec![number] };
        let why = match (&info, args.view, args.scale) {
            (Some(info), Some(view), _) => fit_view(&mut group.request, view, &reference, info),
            (Some(info), None, Some(size)) => fit_size(&mut group.request, size, &reference, info),
            (None, ..) | (_, None, None) => Vec::new(),
        };
        groups.push((kind, group, why));
    }
    Ok(groups.into_iter().map(|(_, group, why)| (group, why)).collect())
}

fn stored(info: &VideoInfo) -> Stored {
    Stored { size: (info.width, info.height), bit_depth: info.format.bit_depth }
}

fn fit_view(
    request: &mut ScoreRequest,
    view: View,
    reference: &VideoInfo,
    distorted: &VideoInfo,
) -> Vec<String> {
    let rate = reference.frame_rate.filter(|(_, denominator)| *denominator > 0);
    let frames_per_second =
        rate.map(|(numerator, denominator)| f64::from(numerator) / f64::from(denominator));
    let choice = choose(&Watched {
        view,
        reference: stored(reference),
        distorted: stored(distorted),
        frames_per_second,
    });
    let mut model = ModelSpec::version(choice.model);
    for (extractor, options) in choice.options {
        model.overrides.extend(options.iter().map(|(option, value)| FeatureOverride {
            extractor: extractor.to_owned(),
            option: option.to_owned(),
            value: value.to_owned(),
        }));
    }
    request.models = vec![model];
    let format = PixelFormat { bit_depth: choice.bit_depth, ..reference.format };
    request.conform = conform(Conform { size: choice.size, format }, [reference, distorted]);
    choice.why
}

fn fit_size(
    request: &mut ScoreRequest,
    size: (u32, u32),
    reference: &VideoInfo,
    distorted: &VideoInfo,
) -> Vec<String> {
    let bit_depth = reference.format.bit_depth.max(distorted.format.bit_depth);
    let target = Conform { size, format: PixelFormat { bit_depth, ..reference.format } };
    request.conform = conform(target, [reference, distorted]);
    let names = ["the reference", "the distorted video"];
    let changed = names.into_iter().zip(request.conform);
    changed
        .filter_map(|(name, conform)| conform.map(|conform| format!("{name} is brought {conform}")))
        .collect()
}

/// What is as it should be already is left alone.
fn conform(target: Conform, infos: [&VideoInfo; 2]) -> [Option<Conform>; 2] {
    infos.map(|info| {
        let is_so = (info.width, info.height) == target.size && info.format == target.format;
        (!is_so).then_some(target)
    })
}
