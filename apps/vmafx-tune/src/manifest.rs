//! A ladder as other programs read it: CSV, HLS and DASH.
//!
//! Of rungs that were made, playlists and manifest name the files and the parts of them that players
//! ask for, with rates measured on them. Of rungs that were only searched they are templates, for a
//! packager to fill in.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::TuneError;
use crate::outcome::{LadderOutcome, Rendition};
use crate::segments::{HEAD_BYTES_MAX, Segments};
use crate::sound::SoundTrack;
use crate::whole::write_whole;

/// Digits of the frames a second where a playlist takes a fraction.
const RATE_DIGITS: usize = 3;

/// What the tracks of sound are called together.
const SOUND_GROUP: &str = "sound";

/// What the files of a ladder are called, beside its rungs.
const STEM: &str = "ladder";

/// A ladder with what its files say of themselves.
#[derive(Debug)]
pub struct Manifests<'a> {
    ladder: &'a LadderOutcome,
    rungs: Vec<Rung<'a>>,
    tracks: Vec<Track<'a>>,
}

/// A track of sound that was made.
#[derive(Debug)]
struct Track<'a> {
    sound: &'a SoundTrack,
    /// The file's name without a folder.
    file: String,
    parts: Segments,
    /// What it is called: by its language, and by its number where another has the same.
    name: String,
}

impl Track<'_> {
    fn stem(&self) -> &str {
        self.file.trim_end_matches(".mp4")
    }

    /// Bits of the second that takes the most.
    fn bits_max(&self) -> f64 {
        self.parts.bits_per_second_max().ceil()
    }

    /// Bits a second on average.
    fn bits(&self) -> f64 {
        let (bytes, seconds) =
            self.parts.all.iter().fold((0, 0.0), |(bytes, seconds), part| {
                (bytes + part.bytes, seconds + part.seconds)
            });
        (bytes as f64 * 8.0 / seconds).ceil()
    }
}

#[derive(Debug)]
struct Rung<'a> {
    rendition: &'a Rendition,
    /// The file's name without a folder, and its fragments.
    made: Option<(String, Segments)>,
}

impl Rung<'_> {
    fn stem(&self) -> String {
        match &self.made {
            Some((file, _)) => file.trim_end_matches(".mp4").to_owned(),
            None => name(self.rendition),
        }
    }

    /// Bits a second on average.
    fn bits(&self) -> f64 {
        let file = self.rendition.file.as_ref();
        let rate = file.map_or(self.rendition.kilobits_per_second, |f| f.kilobits_per_second);
        (rate * 1_000.0).ceil()
    }

    /// Bits of the second that takes the most: of what was only searched, no more is known.
    fn bits_max(&self) -> f64 {
        let made = self.made.as_ref();
        made.map_or(self.bits(), |(_, parts)| parts.bits_per_second_max().ceil().max(self.bits()))
    }
}

impl<'a> Manifests<'a> {
    /// Looks into the files of the rungs that were made.
    ///
    /// # Errors
    /// When one cannot be read, or is not of fragments.
    pub fn of(ladder: &'a LadderOutcome) -> Result<Self, TuneError> {
        let rung = |rendition: &'a Rendition| {
            let made = rendition.file.as_ref().map(|file| look_into(&file.output)).transpose()?;
            Ok(Rung { rendition, made })
        };
        let rungs: Result<Vec<Rung<'_>>, TuneError> = ladder.rungs.iter().map(rung).collect();
        let mut tracks: Vec<Track<'_>> = Vec::new();
        for (place, sound) in ladder.sound.iter().enumerate() {
            let (file, parts) = look_into(&sound.output)?;
            let mut name = sound.language.clone().unwrap_or_else(|| "sound".to_owned());
            if tracks.iter().any(|track| track.name == name) {
                name = format!("{name} {}", place + 1);
            }
            tracks.push(Track { sound, file, parts, name });
        }
        Ok(Self { ladder, rungs: rungs?, tracks })
    }

    /// The rungs as CSV; the name of a file that was made is the last column.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = "width,height,quality,kilobits_per_second,score,file\n".to_owned();
        for rung in &self.rungs {
            let Rendition { size: (width, height), file, .. } = rung.rendition;
            let quality = file.as_ref().and_then(|file| file.quality);
            let quality = quality.unwrap_or(rung.rendition.quality);
            let (rate, score) = match file {
                Some(file) => (file.kilobits_per_second, file.pooled.mean),
                None => (rung.rendition.kilobits_per_second, rung.rendition.score),
            };
            let name = rung.made.as_ref().map_or("", |(name, _)| name);
            let _ = writeln!(text, "{width},{height},{quality},{rate},{score},{name}");
        }
        text
    }

    /// An HLS multivariant playlist of the rungs.
    #[must_use]
    pub fn hls(&self) -> String {
        let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
        if self.rungs.iter().any(|rung| rung.made.is_none()) {
            text.push_str("# A template: the packager makes the playlists, and puts CODECS and the peak BANDWIDTH.\n");
        }
        for (place, track) in self.tracks.iter().enumerate() {
            let is_default = if place == 0 { "YES" } else { "NO" };
            let language = track.sound.language.as_ref();
            let language = language.map_or(String::new(), |name| format!(",LANGUAGE=\"{name}\""));
            let channels = track.sound.channels;
            let channels = channels.map_or(String::new(), |count| format!(",CHANNELS=\"{count}\""));
            let _ = writeln!(
                text,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{SOUND_GROUP}\",NAME=\"{}\"{language},DEFAULT={is_default},AUTOSELECT=YES{channels},URI=\"{}.m3u8\"",
                track.name,
                track.stem(),
            );
        }
        // What is played is a rung and one track with it, the dearest as it may be.
        let sound_max = self.tracks.iter().map(Track::bits_max).fold(0.0, f64::max);
        let sound = self.tracks.iter().map(Track::bits).fold(0.0, f64::max);
        let group = if self.tracks.is_empty() {
            String::new()
        } else {
            format!(",AUDIO=\"{SOUND_GROUP}\"")
        };
        for rung in &self.rungs {
            let (width, height) = rung.rendition.size;
            let _ = writeln!(
                text,
                "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},RESOLUTION={width}x{height},FRAME-RATE={:.RATE_DIGITS$}{group}\n{}{}",
                rung.bits_max() + sound_max,
                rung.bits() + sound,
                self.ladder.frames_per_second,
                rung.stem(),
                if rung.made.is_some() { ".m3u8" } else { "/index.m3u8" },
            );
        }
        text
    }

    /// The rungs as a DASH manifest of one adaptation set, and one for each track of sound.
    #[must_use]
    pub fn dash(&self) -> String {
        let are_made = self.rungs.iter().all(|rung| rung.made.is_some());
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        let profile = if are_made {
            "isoff-on-demand"
        } else {
            text.push_str(
                "<!-- A template: the packager makes the files, and puts codecs and segments. -->\n",
            );
            "full"
        };
        let _ = writeln!(
            text,
            "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" profiles=\"urn:mpeg:dash:profile:{profile}:2011\" \
             minBufferTime=\"PT2S\" mediaPresentationDuration=\"PT{:.3}S\">",
            self.ladder.seconds
        );
        let _ = writeln!(
            text,
            "  <Period>\n    <AdaptationSet contentType=\"video\" mimeType=\"video/mp4\"{}>",
            if are_made { " subsegmentStartsWithSAP=\"1\"" } else { " segmentAlignment=\"true\"" }
        );
        // The schema takes a whole number or a fraction.
        let rate = match self.ladder.frame_rate {
            (rate, 1) => rate.to_string(),
            (rate, per) => format!("{rate}/{per}"),
        };
        for rung in &self.rungs {
            let ((width, height), id) = (rung.rendition.size, rung.stem());
            let _ = writeln!(
                text,
                "      <Representation id=\"{id}\" bandwidth=\"{}\" width=\"{width}\" height=\"{height}\" frameRate=\"{rate}\">\n        <BaseURL>{id}.mp4</BaseURL>",
                rung.bits_max()
            );
            if let Some((_, parts)) = &rung.made {
                text.push_str(&segment_base(parts));
            }
            text.push_str("      </Representation>\n");
        }
        text.push_str("    </AdaptationSet>\n");
        for track in &self.tracks {
            let language = track.sound.language.as_ref();
            let language = language.map_or(String::new(), |name| format!(" lang=\"{name}\""));
            let (id, rate) = (track.stem(), track.bits_max());
            let _ = writeln!(
                text,
                "    <AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\"{language} subsegmentStartsWithSAP=\"1\">\n      \
                 <Representation id=\"{id}\" bandwidth=\"{rate}\">\n        <BaseURL>{id}.mp4</BaseURL>\n{}      </Representation>\n    </AdaptationSet>",
                segment_base(&track.parts)
            );
        }
        text.push_str("  </Period>\n</MPD>\n");
        text
    }

    /// The playlists of the rungs and tracks that were made, by name.
    fn playlists(&self) -> impl Iterator<Item = (String, String)> {
        let rungs = self.rungs.iter().filter_map(|rung| {
            let (file, parts) = rung.made.as_ref()?;
            Some((format!("{}.m3u8", rung.stem()), playlist(file, parts)))
        });
        let tracks = self
            .tracks
            .iter()
            .map(|track| (format!("{}.m3u8", track.stem()), playlist(&track.file, &track.parts)));
        rungs.chain(tracks)
    }
}

/// Where a DASH player finds a file's index, and what it needs before any fragment.
fn segment_base(parts: &Segments) -> String {
    let (index, end) = (parts.head_bytes, parts.head_bytes + parts.index_bytes);
    format!(
        "        <SegmentBase indexRange=\"{index}-{}\">\n          <Initialization range=\"0-{}\"/>\n        </SegmentBase>\n",
        end - 1,
        index - 1
    )
}

/// The HLS media playlist of a file of fragments.
fn playlist(file: &str, parts: &Segments) -> String {
    let longest = parts.all.iter().map(|part| part.seconds).fold(0.0, f64::max);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{:.0}\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"{file}\",BYTERANGE=\"{}@0\"\n",
        longest.ceil(),
        parts.head_bytes
    );
    for part in &parts.all {
        let (seconds, bytes, first) = (part.seconds, part.bytes, part.first_byte);
        let _ = writeln!(text, "#EXTINF:{seconds:.6},\n#EXT-X-BYTERANGE:{bytes}@{first}\n{file}");
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// Writes everything that names the rungs beside them: `ladder.json`, `.csv`, `.m3u8` and `.mpd`, and a
/// playlist for each rung.
pub(crate) fn write_all(ladder: &LadderOutcome, folder: &Path) -> Result<(), TuneError> {
    let manifests = Manifests::of(ladder)?;
    let json = serde_json::to_string_pretty(ladder).unwrap_or_default() + "\n";
    let own = [
        ("json", json),
        ("csv", manifests.csv()),
        ("m3u8", manifests.hls()),
        ("mpd", manifests.dash()),
    ];
    let own = own.map(|(ending, text)| (format!("{STEM}.{ending}"), text));
    for (name, text) in own.into_iter().chain(manifests.playlists()) {
        let path: PathBuf = folder.join(name);
        write_whole(&path, &text).map_err(TuneError::write(&path))?;
    }
    Ok(())
}

pub(crate) fn look_into(file: &Path) -> Result<(String, Segments), TuneError> {
    let mut head = Vec::new();
    File::open(file)
        .and_then(|file| file.take(HEAD_BYTES_MAX as u64).read_to_end(&mut head))
        .map_err(|source| TuneError::Read { path: file.display().to_string(), source })?;
    let parts = Segments::read(&head).ok_or_else(|| {
        TuneError::Request(format!("{} has no index of fragments", file.display()))
    })?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, parts))
}

/// What a rung is called: its height and its rate.
pub(crate) fn name(rung: &Rendition) -> String {
    format!("{}p-{:.0}k", rung.size.1, rung.kilobits_per_second)
}

#[cfg(test)]
mod tests {
    use types::{Encoder, Quality};

    use super::*;
    use crate::outcome::{Standing, TuneOutcome};
    use crate::segments::Segment;

    fn small() -> LadderOutcome {
        let rung = |height: u32, rate: f64| Rendition {
            size: (height * 16 / 9, height),
            quality: Quality(2_350),
            kilobits_per_second: rate,
            score: 80.0,
            file: None,
        };
        let rungs = vec![rung(360, 300.5), rung(720, 1_200.25)];
        LadderOutcome {
            source: "/a.mp4".to_owned(),
            encoder: Encoder::X264,
            frames_per_second: 25.0,
            frame_rate: (24_000, 1_001),
            seconds: 10.0,
            cloud: rungs.clone(),
            hull: rungs.clone(),
            rungs,
            sound: Vec::new(),
            missed: Vec::new(),
        }
    }

    #[test]
    fn a_ladder_has_a_line_a_rung_in_every_form() {
        let ladder = small();
        let manifests = Manifests::of(&ladder).expect("nothing to read");
        assert_eq!(manifests.csv().lines().count(), 3);
        let hls = manifests.hls();
        assert!(hls.starts_with("#EXTM3U\n") && hls.contains("BANDWIDTH=300500,"), "{hls}");
        assert!(
            hls.contains("RESOLUTION=640x360,FRAME-RATE=25.000\n360p-300k/index.m3u8"),
            "{hls}"
        );
        let dash = manifests.dash();
        assert_eq!(dash.matches("<Representation ").count(), 2);
        assert!(dash.contains("bandwidth=\"1200250\""), "{dash}");
        assert!(dash.contains("mediaPresentationDuration=\"PT10.000S\">"), "{dash}");
        assert!(dash.contains("frameRate=\"24000/1001\""), "{dash}");
        assert_eq!(manifests.playlists().count(), 0);
        assert_eq!(TuneOutcome::Ladder(ladder.clone()).standing(), Standing::Met);
        let missed = TuneOutcome::Ladder(LadderOutcome { missed: vec![95.0], ..ladder });
        assert_eq!(missed.standing(), Standing::Unreachable);
    }

    #[test]
    fn what_was_made_is_named_with_its_parts_and_its_peak() {
        let ladder = small();
        let part = |first_byte: u64, bytes: u64| Segment { first_byte, bytes, seconds: 2.0 };
        let parts = || Segments {
            head_bytes: 700,
            index_bytes: 100,
            all: vec![part(800, 1_000), part(1_800, 500_000)],
        };
        let rungs = ladder.rungs.iter().zip(["a.mp4", "b.mp4"]);
        let rungs = rungs
            .map(|(rendition, file)| Rung { rendition, made: Some((file.to_owned(), parts())) })
            .collect();
        let sound = SoundTrack {
            output: "audio-1.mp4".into(),
            codec: "aac".to_owned(),
            language: Some("eng".to_owned()),
            channels: Some(2),
            bytes: 501_000,
        };
        let file = "audio-1.mp4".to_owned();
        let track = Track { sound: &sound, file, parts: parts(), name: "eng".to_owned() };
        let manifests = Manifests { ladder: &ladder, rungs, tracks: vec![track] };
        let hls = manifests.hls();
        assert!(hls.contains("BANDWIDTH=4000000,AVERAGE-BANDWIDTH=1302500,"), "{hls}");
        assert!(hls.contains("FRAME-RATE=25.000,AUDIO=\"sound\"\na.m3u8\n"), "{hls}");
        let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"eng\",LANGUAGE=\"eng\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio-1.m3u8\"\n";
        assert!(hls.contains(media), "{hls}");
        assert!(hls.contains("\na.m3u8\n") && !hls.contains("template"), "{hls}");
        let (name, playlist) = manifests.playlists().next().expect("two");
        assert_eq!(name, "a.m3u8");
        assert!(playlist.contains("#EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"700@0\""), "{playlist}");
        assert!(playlist.contains("#EXT-X-BYTERANGE:500000@1800\na.mp4\n"), "{playlist}");
        let dash = manifests.dash();
        assert!(dash.contains("<SegmentBase indexRange=\"700-799\">"), "{dash}");
        assert!(dash.contains("<Initialization range=\"0-699\"/>"), "{dash}");
        let set = "<AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\" lang=\"eng\" subsegmentStartsWithSAP=\"1\">";
        assert!(dash.contains(set) && dash.contains("<BaseURL>audio-1.mp4</BaseURL>"), "{dash}");
        assert!(manifests.csv().contains(",a.mp4\n"));
    }
}
