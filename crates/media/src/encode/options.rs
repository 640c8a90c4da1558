//! How an encode is spelled for `ffmpeg`.

use std::ffi::OsString;
use std::path::Path;

use types::{EncodeRequest, Encoder};

use super::light::Light;
use super::{EncodeJob, container_of};
use crate::encode::error::EncoderError;
use crate::ffmpeg::pixel_format_name;
use crate::video::Video;

/// Everything after the program's name.
pub(super) fn arguments(
    job: &EncodeJob<'_>,
    video: &Video,
    light: &Light,
) -> Result<Vec<OsString>, EncoderError> {
    let request = job.request;
    let container = container_of(job.output)?;
    let own_format = pixel_format_name(video.info().format);
    let format = request.pixel_format.as_deref().unwrap_or(&own_format);
    let mut words: Vec<OsString> = Vec::new();
    let mut say = |arguments: &[&str]| words.extend(arguments.iter().map(OsString::from));
    // The banner stays: it names the version.
    say(&["-nostats", "-v", "level+info"]);
    say(&["-protocol_whitelist", "pipe", "-f", "yuv4mpegpipe", "-i", "pipe:0"]);
    say(&["-map", "0:v:0", "-fps_mode", "passthrough"]);
    let filters = filters(request, video.colour());
    if !filters.is_empty() {
        say(&["-vf", &filters.join(",")]);
    }
    say(&["-pix_fmt", format, "-c:v", request.encoder.as_str()]);
    say(&["-threads", &request.threads.to_string()]);
    for (name, value) in encoder_words(request) {
        say(&[&format!("-{name}"), &value]);
    }
    if let Some(siting) = light.siting() {
        say(&["-chroma_sample_location:v", siting]);
    }
    say(&["-flags:v", "+bitexact"]);
    words.extend(output_words(container, request.encoder, job.output));
    Ok(words)
}

/// What happens to pictures before they are encoded. They are told which colours they have: what an
/// encoder is told by options of its own, pictures that say nothing overrule.
fn filters(request: &EncodeRequest, colour: Option<[String; 3]>) -> Vec<String> {
    let scale = request
        .size
        .map(|(width, height)| format!("scale={width}:{height}:flags=bicubic+accurate_rnd"));
    let named = colour.map(|[matrix, primaries, transfer]| {
        let named =
            [("colorspace", matrix), ("color_primaries", primaries), ("color_trc", transfer)];
        // What is unknown stays so, and RGB's matrix is none of these pictures.
        let named = named.into_iter().filter(|(_, name)| name != "unknown" && name != "gbr");
        named.map(|(key, name)| format!("{key}={name}")).collect::<Vec<_>>().join(":")
    });
    let named = named.filter(|named| !named.is_empty()).map(|named| format!("setparams={named}"));
    scale.into_iter().chain(named).collect()
}

/// Everything for putting listed files one after the other.
pub(super) fn join_arguments(
    list: &Path,
    encoder: Encoder,
    output: &Path,
) -> Result<Vec<OsString>, EncoderError> {
    let container = container_of(output)?;
    let mut words: Vec<OsString> = [
        "-nostdin",
        "-nostats",
        "-v",
        "level+info",
        "-protocol_whitelist",
        "file",
        "-f",
        "concat",
        "-safe",
        "0",
        "-i",
    ]
    .map(OsString::from)
    .into();
    words.push(list.into());
    words.extend(["-map", "0:v:0", "-c", "copy"].map(OsString::from));
    words.extend(output_words(container, encoder, output));
    Ok(words)
}

/// How the file is written.
pub(super) fn output_words(container: &str, encoder: Encoder, output: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    if matches!(container, "mp4" | "mov") {
        words.extend(mp4_words("+faststart", encoder));
    }
    words.extend(last_words(container, output));
    words
}

/// How an mp4 file of fragments with an index is written.
pub(super) fn fragmented_words(encoder: Encoder, output: &Path) -> Vec<OsString> {
    let mut words = mp4_words("+frag_keyframe+empty_moov+default_base_moof+global_sidx", encoder);
    words.extend(last_words("mp4", output));
    words
}

fn mp4_words(flags: &str, encoder: Encoder) -> Vec<OsString> {
    let mut words = vec!["-movflags", flags];
    if encoder == Encoder::X265 {
        // Players of one large maker know H.265 by this name only.
        words.extend(["-tag:v", "hvc1"]);
    }
    words.into_iter().map(OsString::from).collect()
}

pub(super) fn last_words(container: &str, output: &Path) -> Vec<OsString> {
    // Without random ids and dates, the same pictures give the same bytes.
    let mut words: Vec<OsString> =
        ["-fflags", "+bitexact", "-f", container, "-y"].map(OsString::from).into();
    let mut target = OsString::from("file:");
    target.push(output);
    words.push(target);
    words
}

/// Preset, quality and options. What the caller names goes before what is so by default.
fn encoder_words(request: &EncodeRequest) -> Vec<(String, String)> {
    let (preset, quality) = (request.preset.clone(), request.quality.to_string());
    let words: Vec<(&str, String)> = match request.encoder {
        Encoder::X264 | Encoder::X265 => vec![("preset", preset), ("crf", quality)],
        Encoder::SvtAv1 => return svt_words(request),
        Encoder::Aom => vec![
            ("cpu-used", preset),
            ("crf", quality),
            ("b:v", "0".to_owned()),
            ("row-mt", "1".to_owned()),
        ],
        Encoder::Vp9 => vec![
            ("deadline", "good".to_owned()),
            ("cpu-used", preset),
            ("crf", quality),
            ("b:v", "0".to_owned()),
            ("row-mt", "1".to_owned()),
        ],
        Encoder::Vvenc => vec![("preset", preset), ("qp", quality)],
    };
    let own = words.into_iter().map(|(name, value)| (name.to_owned(), value));
    let own = own.filter(|(name, _)| !request.options.contains_key(name));
    let given = request.options.iter().map(|(name, value)| (name.clone(), value.clone()));
    own.chain(given).collect()
}

/// SVT-AV1's, whose fractions of a CRF `ffmpeg` itself does not take and passes on.
fn svt_words(request: &EncodeRequest) -> Vec<(String, String)> {
    const PARAMS: &str = "svtav1-params";
    let whole = request.quality.0 / 100;
    let mut words = request.options.clone();
    if request.quality.0 % 100 != 0 {
        let fraction = format!("crf={}", request.quality);
        let params = match words.remove(PARAMS) {
            Some(given) => format!("{given}:{fraction}"),
            None => fraction,
        };
        words.insert(PARAMS.to_owned(), params);
    }
    words.entry("preset".to_owned()).or_insert_with(|| request.preset.clone());
    words.insert("crf".to_owned(), whole.to_string());
    words.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use types::Quality;

    use super::*;

    #[test]
    fn every_encoder_gets_its_quality_and_preset_by_its_own_names() {
        for encoder in Encoder::ALL {
            let mut request = EncodeRequest::new(*encoder, Quality(2_300));
            request.options.insert("row-mt".to_owned(), "0".to_owned());
            let words = encoder_words(&request);
            let value = |name: &str| {
                let found: Vec<_> = words.iter().filter(|(known, _)| known == name).collect();
                assert!(found.len() <= 1, "{encoder}: {name} twice");
                found.first().map(|(_, value)| value.clone())
            };
            assert_eq!(value("crf").or(value("qp")).as_deref(), Some("23"), "{encoder}");
            let preset = value("preset").or(value("cpu-used"));
            assert_eq!(preset.as_deref(), Some(encoder.preset_default()), "{encoder}");
            assert_eq!(value("row-mt").as_deref(), Some("0"), "{encoder}: what is given counts");
        }
    }

    #[test]
    fn svt_gets_its_fraction_beside_what_is_given() {
        let mut request = EncodeRequest::new(Encoder::SvtAv1, Quality(3_525));
        request.options.insert("svtav1-params".to_owned(), "tune=0".to_owned());
        let words = encoder_words(&request);
        assert!(words.contains(&("svtav1-params".to_owned(), "tune=0:crf=35.25".to_owned())));
        assert!(words.contains(&("crf".to_owned(), "35".to_owned())), "{words:?}");
    }
}
