//! What `ffmpeg` writes to its standard error, boiled down to a bounded report.
//!
//! Pure: lines in, facts out. The lines come from a process that read a hostile file, so each is
//! cut, each list is bounded, and nothing here decides more than "this file is refused".

use crate::declared::Declared;

/// Bytes of a line that are looked at.
pub(super) const LINE_BYTES_MAX: usize = 1_024;

/// Complaints that are kept; the first ones say what went wrong.
const COMPLAINTS_MAX: usize = 16;

/// Codecs of other streams that are remembered.
const OTHER_CODECS_MAX: usize = 16;

/// The video stream as `ffmpeg` describes it before decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamLine {
    pub codec: String,
    pub pixel_format: String,
    /// `1920x1080`.
    pub size: String,
    /// What is said of the colours, such as `tv, bt709, progressive`; empty where nothing is.
    pub colour: String,
}

#[derive(Debug, Clone)]
struct Complaint {
    /// The component, such as `h264` or `in#0/matroska,webm`.
    component: String,
    text: String,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub version: Option<String>,
    pub stream: Option<StreamLine>,
    /// What the file says of itself, for whoever asks.
    pub declared: Declared,
    /// The new size and format, when they changed in mid-stream.
    pub changed: Option<String>,
    complaints: Vec<Complaint>,
    other_codecs: Vec<String>,
    inputs_described: bool,
}

impl Report {
    /// Takes one line, without its line feed.
    pub(crate) fn take_line(&mut self, line: &str) {
        let Some(line) = Line::parse(line) else { return };
        match line.level {
            "error" | "fatal" | "panic" => self.complain(&line),
            "warning" if is_damage(line.text) => self.complain(&line),
            _ => self.take_info(line.text),
        }
    }

    /// The first complaint that concerns the video: audio decoders are not listened to.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaints().next()
    }

    /// Whether any complaint holds `words`.
    pub(crate) fn complains_of(&self, words: &str) -> bool {
        self.complaints().any(|text| text.contains(words))
    }

    /// Whether all that is said of the input has been said.
    pub(crate) const fn inputs_described(&self) -> bool {
        self.inputs_described
    }

    fn complaints(&self) -> impl Iterator<Item = &str> {
        self.complaints
            .iter()
            .filter(|complaint| !self.other_codecs.contains(&complaint.component))
            .map(|complaint| complaint.text.as_str())
    }

    fn complain(&mut self, line: &Line<'_>) {
        if self.complaints.len() < COMPLAINTS_MAX {
            let text: String = line.text.trim().chars().take(300).collect();
            self.complaints.push(Complaint { component: line.component.to_owned(), text });
        }
    }

    fn take_info(&mut self, text: &str) {
        let text = text.trim_start();
        if self.version.is_none()
            && let Some(rest) = text.strip_prefix("ffmpeg version ")
        {
            let version = rest.split_whitespace().next().unwrap_or_default();
            self.version = Some(version.chars().take(64).collect());
        } else if let Some(change) = text.strip_prefix("Reconfiguring filter graph") {
            self.take_change(change);
        } else if text.starts_with("Stream mapping") || text.starts_with("Output #") {
            self.inputs_described = true;
        } else if self.inputs_described {
            // What follows is about the output.
        } else if text.starts_with("Stream #") {
            self.take_stream(text);
        } else {
            self.declared.take_line(text);
        }
    }

    fn take_stream(&mut self, text: &str) {
        if let Some((_, video)) = text.split_once("Video: ") {
            if self.stream.is_none() && !video.contains("(attached pic)") {
                self.stream = parse_video(video);
                self.declared.take_stream(split_outside_parentheses(video));
            }
        } else if let Some((_, other)) =
            ["Audio: ", "Subtitle: ", "Data: "].iter().find_map(|kind| text.split_once(kind))
            && self.other_codecs.len() < OTHER_CODECS_MAX
        {
            let codec = other.split([' ', ',']).next().unwrap_or_default();
            self.other_codecs.push(codec.chars().take(32).collect());
        }
    }

    /// A change of colour description alone is none that matters: samples stay as they are.
    fn take_change(&mut self, text: &str) {
        let same = self.stream.as_ref().is_some_and(|stream| {
            text.contains(&format!(" {}(", stream.pixel_format))
                && text.split([' ', ',']).any(|word| word == stream.size)
        });
        if !same && self.changed.is_none() {
            self.changed = Some(text.trim().chars().take(200).collect());
        }
    }
}

/// Damage that some versions report as a warning only.
fn is_damage(text: &str) -> bool {
    text.contains("Packet corrupt") || text.contains("corrupt decoded frame")
}

fn parse_video(text: &str) -> Option<StreamLine> {
    let mut fields = split_outside_parentheses(text);
    let word = |text: &str| -> String {
        text.trim().split([' ', '(']).next().unwrap_or_default().chars().take(32).collect()
    };
    let codec = word(fields.next()?);
    let described = fields.next()?;
    let pixel_format = word(described);
    let colour = described.split_once('(').map_or("", |(_, rest)| rest);
    let colour = colour.trim_end_matches(')').chars().take(128).collect();
    let is_size = |word: &String| {
        word.split_once('x')
            .is_some_and(|(w, h)| w.parse::<u32>().is_ok() && h.parse::<u32>().is_ok())
    };
    let size = fields.map(word).find(is_size)?;
    Some(StreamLine { codec, pixel_format, size, colour })
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// `[h264 @ 0x1] [error] text`: components, then the level, then the text.
struct Line<'a> {
    component: &'a str,
    level: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut component = "";
        let mut rest = line;
        loop {
            let (tag, after) = rest.strip_prefix('[')?.split_once("] ")?;
            if matches!(tag, "panic" | "fatal" | "error" | "warning" | "info" | "verbose" | "debug")
            {
                return Some(Self { component, level: tag, text: after });
            }
            if component.is_empty() {
                component = tag.split(" @ ").next().unwrap_or_default();
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::default();
        lines.iter().for_each(|line| report.take_line(line));
        report
    }

    #[test]
    fn version_and_stream_are_read() {
        let report = report(&[
            "[info] ffmpeg version 5.1.6-0+deb12u1 Copyright (c) 2000-2024 the FFmpeg developers",
            "[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'fd:':",
            "[info]   Stream #0:0[0x1](und): Video: mjpeg (Baseline), yuvj444p(pc, bt470bg), 600x600, 90k tbr (attached pic)",
            "[info]   Stream #0:1[0x2](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), 640x272 [SAR 1:1 DAR 40:17], 404 kb/s (default)",
            "[info] Stream mapping:",
            "[info] Output #0, yuv4mpegpipe, to 'pipe:1':",
            "[info]   Stream #0:0(und): Video: wrapped_avframe, gray, 1x1",
        ]);
        assert_eq!(report.version.as_deref(), Some("5.1.6-0+deb12u1"));
        let expected = StreamLine {
            codec: "h264".into(),
            pixel_format: "yuv420p".into(),
            size: "640x272".into(),
            colour: "tv, bt709, progressive".into(),
        };
        assert_eq!(report.stream, Some(expected));
        assert_eq!(report.complaint(), None);
    }

    #[test]
    fn errors_of_the_video_count_and_those_of_the_audio_do_not() {
        let audio = [
            "[info]   Stream #0:1: Audio: aac (LC), 48000 Hz",
            "[aac @ 0x1] [error] Input buffer exhausted before END element found",
        ];
        assert_eq!(report(&audio).complaint(), None);
        let video = "[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame";
        assert_eq!(report(&[audio[0], audio[1], video]).complaint(), Some("corrupt decoded frame"));
        let error = "[h264 @ 0x1] [error] missing picture in access unit with size 437";
        assert!(report(&[error]).complains_of("missing picture"));
        let harmless =
            "[yuv4mpegpipe @ 0x1] [warning] Warning: generating non standard YUV stream.";
        assert_eq!(report(&[harmless]).complaint(), None);
    }

    #[test]
    fn a_change_of_size_or_format_in_mid_stream_is_seen() {
        let stream =
            "[info]   Stream #0:0: Video: h264 (High), yuv420p(progressive), 320x240, 25 fps";
        let change = |what: &str| {
            let line = format!(
                "[vf#0:0 @ 0x5] [info] Reconfiguring filter graph because video parameters changed to {what}"
            );
            report(&[stream, &line]).changed.is_some()
        };
        assert!(change("yuv420p(unknown, unknown), 160x120, unspecified alpha"));
        assert!(change("yuv420p10le(tv, bt709), 320x240, unspecified alpha"));
        assert!(!change("yuv420p(tv, bt709), 320x240, unspecified alpha"));
    }

    #[test]
    fn a_flood_is_bounded_and_nonsense_ignored() {
        let mut report = Report::default();
        for _ in 0..10_000 {
            report.take_line(&format!("[h264 @ 0x1] [error] {}", "x".repeat(1_000)));
            report.take_line("[info] Stream #0:1: Audio: aac, x");
            report.take_line("[[[] nonsense");
            report.take_line("]");
        }
        assert_eq!(report.complaints.len(), COMPLAINTS_MAX);
        assert_eq!(report.complaints[0].text.len(), 300);
        assert_eq!(report.other_codecs.len(), OTHER_CODECS_MAX);
    }
}
