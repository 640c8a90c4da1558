//! What a deep or high-dynamic-range source says of its light and colours besides its samples: carried
//! to the encoder by its own options, and looked for in what it made.
//!
//! Frames reach the encoder as y4m, which says nothing of this. So the source is asked, one picture of
//! it, before the encode, and the file after it: whatever the encoder or the container did not take is
//! told of and not lost without a word.

use std::fmt::Write as _;
use std::fs::File;

use types::{EncodeRequest, Encoder, MediaRef, Warning};

use super::error::EncoderError;
use super::probe::ask;
use crate::open::MediaConfig;
use crate::stop::Stop;

/// The code of what is told when something is not carried over.
const CODE: &str = "hdr_not_carried";

/// How far apart two primaries may lie and be the same, of a range of 1.
const PRIMARY_APART_MAX: f64 = 0.001;

/// How far apart two luminances may lie and be the same: by a share, and, near black, in candelas a
/// square metre. Formats store them in steps.
const LUMINANCE_SHARE_MAX: f64 = 0.01;
const LUMINANCE_APART_MAX: f64 = 0.000_5;

/// The display that a film was mastered on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mastering {
    /// Red, green, blue and white, x and y of each.
    points: [(f64, f64); 4],
    /// The darkest and the brightest, in candelas a square metre.
    luminance: (f64, f64),
}

/// What a source or a file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Light {
    mastering: Option<Mastering>,
    /// The brightest sample and the brightest picture on average, in candelas a square metre.
    content: Option<(u32, u32)>,
    /// Where chroma samples lie, by `ffmpeg`'s name.
    siting: Option<String>,
    /// Matrix, primaries and transfer, as `ffmpeg` writes them.
    colour: Option<String>,
    /// Metadata that changes from picture to picture.
    dynamic: Option<&'static str>,
}

/// Asks for the light of a file of ours or of a source, by one picture of it.
fn look(input: File, media: &MediaConfig, stop: &Stop) -> Result<Light, EncoderError> {
    let words = ["-v", "verbose", "-protocol_whitelist", "fd", "-i", "fd:", "-map", "0:V:0"];
    let one = ["-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"];
    Ok(light_in(&ask(&media.ffmpeg, &[&words[..], &one].concat(), Some(input), stop)?))
}

impl Light {
    /// What a source says. A source that is not a file of this machine is not asked, and says nothing.
    pub(super) fn of(
        source: &MediaRef,
        media: &MediaConfig,
        stop: &Stop,
    ) -> Result<Self, EncoderError> {
        if source.uri.contains("://") {
            return Ok(Self::default());
        }
        look(media.policy.open_file(&source.uri)?, media, stop)
    }

    /// The siting of chroma samples, by `ffmpeg`'s name.
    pub(super) fn siting(&self) -> Option<&str> {
        self.siting.as_deref()
    }

    /// Adds what says so to an encoder's own parameters, unless they say something of it already. An
    /// encoder that has no word for it gets none.
    pub(super) fn tell(&self, request: &mut EncodeRequest) {
        let (name, mastering, content) = match request.encoder {
            Encoder::X264 => ("x264-params", "mastering-display", "cll"),
            Encoder::X265 => ("x265-params", "master-display", "max-cll"),
            Encoder::SvtAv1 => ("svtav1-params", "mastering-display", "content-light"),
            Encoder::Vvenc => {
                ("vvenc-params", "MasteringDisplayColourVolume", "MaxContentLightLevel")
            }
            Encoder::Aom | Encoder::Vp9 => return,
        };
        let given = request.options.get(name).cloned().unwrap_or_default();
        let mut said = given.clone();
        let mut say = |key: &str, value: String| {
            let is_said = given.split(':').any(|one| one.split('=').next() == Some(key));
            if !is_said {
                let _ = write!(said, "{}{key}={value}", if said.is_empty() { "" } else { ":" });
            }
        };
        if let Some(display) = &self.mastering {
            say(mastering, display.words(request.encoder));
        }
        if let Some((most, average)) = self.content {
            say(content, format!("{most},{average}"));
        }
        if said != given {
            request.options.insert(name.to_owned(), said);
        }
    }

    /// What of this a file does not say that was encoded from it.
    pub(super) fn missing_in(
        &self,
        file: File,
        media: &MediaConfig,
        stop: &Stop,
    ) -> Result<Vec<Warning>, EncoderError> {
        if *self == Self::default() {
            return Ok(Vec::new());
        }
        let made = look(file, media, stop)?;
        Ok(self.missing(&made))
    }

    fn missing(&self, made: &Self) -> Vec<Warning> {
        let mut lost: Vec<&str> = Vec::new();
        let is_kept = |display: &Mastering| made.mastering.is_some_and(|m| m.is_like(display));
        if self.mastering.as_ref().is_some_and(|display| !is_kept(display)) {
            lost.push("mastering display");
        }
        if self.content.is_some() && made.content != self.content {
            lost.push("content light level");
        }
        if self.siting.is_some() && made.siting != self.siting {
            lost.push("chroma location");
        }
        if self.colour.is_some() && made.colour != self.colour {
            lost.push("matrix, primaries or transfer");
        }
        lost.extend(self.dynamic);
        let warning = |what: &str| Warning {
            code: CODE.to_owned(),
            message: format!(
                "the source's {what} is not in the encoded file: the encoder or the container does not take it this way; \
                 choose another, or add it with a tool for the container"
            ),
        };
        lost.into_iter().map(warning).collect()
    }
}

impl Mastering {
    /// As an encoder spells it: SVT-AV1 in plain numbers, the others in steps of 0.00002 and 0.0001.
    fn words(&self, encoder: Encoder) -> String {
        let [(rx, ry), (gx, gy), (bx, by), (wx, wy)] = self.points;
        let (low, high) = self.luminance;
        let step = |value: f64, steps: f64| format!("{:.0}", value * steps);
        let point = |x: f64, y: f64| match encoder {
            Encoder::SvtAv1 => format!("{x:.5},{y:.5}"),
            _ => format!("{},{}", step(x, 50_000.0), step(y, 50_000.0)),
        };
        let light = match encoder {
            Encoder::SvtAv1 => format!("{high:.4},{low:.6}"),
            _ => format!("{},{}", step(high, 10_000.0), step(low, 10_000.0)),
        };
        let (g, b, r, w) = (point(gx, gy), point(bx, by), point(rx, ry), point(wx, wy));
        match encoder {
            Encoder::Vvenc => [g, b, r, w, light].join(","),
            _ => format!("G({g})B({b})R({r})WP({w})L({light})"),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= PRIMARY_APART_MAX;
        let alike = |a: f64, b: f64| {
            (a - b).abs() <= LUMINANCE_APART_MAX.max(a.max(b) * LUMINANCE_SHARE_MAX)
        };
        let points = self.points.iter().zip(&other.points);
        points.into_iter().all(|(a, b)| near(a.0, b.0) && near(a.1, b.1))
            && alike(self.luminance.0, other.luminance.0)
            && alike(self.luminance.1, other.luminance.1)
    }
}

/// Reads what `ffmpeg` says of an input and of its first picture. The words come out of a file that
/// nobody vouches for: what does not have their form is as if absent.
fn light_in(said: &str) -> Light {
    let mut light = Light::default();
    for line in said.lines() {
        let line = line.trim();
        if let Some((_, rest)) = line.split_once("Mastering display metadata:") {
            light.mastering = light.mastering.or_else(|| mastering_in(rest));
        } else if let Some((_, rest)) = line.split_once("Content light level metadata:") {
            light.content = light.content.or_else(|| content_in(rest));
        } else if line.contains("side data - HDR10+") || line.contains("SMPTE2094-40") {
            light.dynamic = Some("HDR10+ metadata");
        } else if line.contains("DOVI configuration record")
            || line.contains("side data - Dolby Vision")
        {
            light.dynamic = Some("Dolby Vision metadata");
        } else if light.colour.is_none() && line.starts_with("Stream #0:") {
            let Some((_, video)) = line.split_once("Video: ") else { continue };
            // The first picture format is the input's; what follows is about the output.
            (light.siting, light.colour) = colours_in(video).unwrap_or_default();
        }
    }
    light
}

/// Reads ` has_primaries:1 has_luminance:1 r(0.68,0.32) g(0.265,0.69) b(0.15 0.06) wp(0.3127, 0.329)
/// min_luminance=0.0001, max_luminance=1000.0`. Half of it is of no use to an encoder.
fn mastering_in(text: &str) -> Option<Mastering> {
    if !text.contains("has_primaries:1") || !text.contains("has_luminance:1") {
        return None;
    }
    let point = |name: &str| -> Option<(f64, f64)> {
        let (_, rest) = text.split_once(name)?;
        let inside = rest.split(')').next()?;
        let mut numbers = inside.split([',', ' ']).filter(|part| !part.is_empty());
        let mut next = || numbers.next()?.parse::<f64>().ok().filter(|n| (0.0..=1.0).contains(n));
        Some((next()?, next()?))
    };
    let light = |name: &str| -> Option<f64> {
        let (_, rest) = text.split_once(name)?;
        let number = rest.split([',', ' ']).next()?.parse::<f64>().ok()?;
        (0.0..=100_000.0).contains(&number).then_some(number)
    };
    let points = [point(" r(")?, point(" g(")?, point(" b(")?, point(" wp(")?];
    Some(Mastering { points, luminance: (light("min_luminance=")?, light("max_luminance=")?) })
}

/// Reads ` MaxCLL=1000, MaxFALL=400`.
fn content_in(text: &str) -> Option<(u32, u32)> {
    let number = |name: &str| -> Option<u32> {
        let (_, rest) = text.split_once(name)?;
        rest.split([',', ' ']).next()?.parse().ok().filter(|number| *number <= 0xFFFF)
    };
    Some((number("MaxCLL=")?, number("MaxFALL=")?))
}

/// Siting and colours of `hevc (Main 10), 1 reference frame, yuv420p10le(tv, bt2020nc/bt2020/smpte2084,
/// progressive, topleft), 640x272`.
fn colours_in(video: &str) -> Option<(Option<String>, Option<String>)> {
    const SITINGS: [&str; 6] = ["left", "center", "topleft", "top", "bottomleft", "bottom"];
    let at = video.find(" yuv")?;
    let described = video[at..].split_once('(')?.1.split(')').next()?;
    let words: Vec<&str> = described.split(',').map(str::trim).collect();
    let siting = words.iter().find(|word| SITINGS.contains(word));
    let plain =
        |word: &&&str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/".contains(&b));
    let colour = words.iter().filter(plain).find(|word| {
        word.split('/').count() == 3 && !word.contains("unknown") && !word.contains("reserved")
    });
    let owned = |word: &&str| (*word).to_owned();
    Some((siting.map(owned), colour.map(owned)))
}

#[cfg(test)]
mod tests {
    use types::Quality;

    use super::*;

    const SAID: &str = "  Stream #0:0: Video: hevc (Main 10), 1 reference frame, yuv420p10le(tv, bt2020nc/bt2020/smpte2084, progressive, topleft), 640x272 [SAR 1:1 DAR 40:17], 25 fps\n\
        [Parsed_showinfo_0 @ 0x1]   side data - Mastering display metadata: has_primaries:1 has_luminance:1 r(0.6800,0.3200) g(0.2650,0.6900) b(0.1500 0.0600) wp(0.3127, 0.3290) min_luminance=0.000100, max_luminance=1000.000000\n\
        [Parsed_showinfo_0 @ 0x1]   side data - Content light level metadata: MaxCLL=1000, MaxFALL=400\n";

    fn told(encoder: Encoder, options: &[(&str, &str)]) -> EncodeRequest {
        let mut request = EncodeRequest::new(encoder, Quality(2_300));
        for (name, value) in options {
            request.options.insert((*name).to_owned(), (*value).to_owned());
        }
        light_in(SAID).tell(&mut request);
        request
    }

    #[test]
    fn each_encoder_is_told_in_its_own_words() {
        let steps = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
        let check = |encoder, name: &str, expected: String| {
            let request = told(encoder, &[]);
            assert_eq!(request.options.get(name), Some(&expected), "{encoder}");
            request.check().expect("it may be asked");
        };
        check(Encoder::X264, "x264-params", format!("mastering-display={steps}:cll=1000,400"));
        check(Encoder::X265, "x265-params", format!("master-display={steps}:max-cll=1000,400"));
        let plain = "G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)L(1000.0000,0.000100)";
        let svt = format!("mastering-display={plain}:content-light=1000,400");
        check(Encoder::SvtAv1, "svtav1-params", svt);
        assert!(told(Encoder::Aom, &[]).options.is_empty());
        let given = told(Encoder::X265, &[("x265-params", "no-sao=1:max-cll=9,9")]);
        let expected = format!("no-sao=1:max-cll=9,9:master-display={steps}");
        assert_eq!(given.options["x265-params"], expected, "what is given counts");
    }

    #[test]
    fn what_a_file_does_not_say_is_told_of() {
        let source = light_in(SAID);
        assert_eq!(source.siting(), Some("topleft"));
        assert_eq!(source.missing(&source), []);
        // SVT-AV1 stores the darkest in steps of its own.
        let near = SAID.replace("0.000100", "0.000122");
        assert_eq!(source.missing(&light_in(&near)), []);
        let lost = source.missing(&Light::default());
        assert_eq!(lost.len(), 4, "{lost:?}");
        let other = SAID.replace("MaxCLL=1000", "MaxCLL=900").replace("r(0.6800", "r(0.7080");
        assert_eq!(source.missing(&light_in(&other)).len(), 2);
        let changing = format!("{SAID}[x] side data - HDR10+ Dynamic Metadata (SMPTE 2094-40)\n");
        assert_eq!(light_in(&changing).missing(&source).len(), 1);
    }

    #[test]
    fn nonsense_is_as_if_absent() {
        for said in [
            "Mastering display metadata: has_primaries:1 has_luminance:1 r(9,9) g(nan,1) b() wp(",
            "Mastering display metadata: has_primaries:0 has_luminance:1 min_luminance=1",
            "Content light level metadata: MaxCLL=99999999999, MaxFALL=x",
            "Stream #0:0: Video: x, yuv420p10le(tv, a\";b/c/d)",
        ] {
            assert_eq!(light_in(said), Light::default(), "{said}");
        }
    }
}
