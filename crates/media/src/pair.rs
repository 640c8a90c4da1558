//! A reference and a distorted video of one shape.

use types::{MediaRef, Warning};

use crate::error::MediaError;
use crate::ffmpeg::Conform;
use crate::open::{MediaConfig, open, open_as};
use crate::stop::Stop;
use crate::video::{Video, VideoInfo};

/// Which frames of the two videos are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PairRange {
    /// Frames of the reference that come before the first that counts.
    pub skip_reference: u64,
    /// Frames of the distorted video that come before the first that counts.
    pub skip_distorted: u64,
    /// How many frames count at most; `None` goes to the end of the shorter video.
    pub frame_count_max: Option<u64>,
}

/// What is done with videos of different bit depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Depths {
    /// They are refused.
    #[default]
    Equal,
    /// All are compared at the largest depth among them: samples of fewer bits are shifted to the
    /// left, as libvmaf's tool does under presets that ask for it.
    Largest,
}

/// Two open videos of the same size, chroma subsampling and bit depth. Nothing is skipped yet.
#[derive(Debug)]
pub struct Pair {
    /// The undegraded video.
    pub reference: Video,
    /// The degraded video.
    pub distorted: Video,
}

impl Pair {
    /// Opens both, at the same time, and compares their shapes. A reference that cannot be opened
    /// ends the wait for the distorted video.
    ///
    /// # Errors
    /// When one cannot be opened (the reference's error, if both cannot), or when they differ.
    pub fn open(
        reference: &MediaRef,
        distorted: &MediaRef,
        config: &MediaConfig,
        stop: &Stop,
    ) -> Result<Self, MediaError> {
        let Renditions { reference, mut distorted } =
            Renditions::open(reference, &[distorted], [None, None], Depths::Equal, config, stop)?;
        let distorted = distorted.pop().expect("one video was asked for")?;
        Ok(Self { reference, distorted })
    }
}

/// A reference and any number of distorted videos of its size, chroma subsampling and bit depth.
/// Nothing is skipped yet.
#[derive(Debug)]
pub struct Renditions {
    /// The undegraded video.
    pub reference: Video,
    /// The degraded videos in the order asked for; an error is of that video alone.
    pub distorted: Vec<Result<Video, MediaError>>,
}

impl Renditions {
    /// Opens all, at the same time, and compares each with the reference. `conform` says what the
    /// reference, and what each distorted video is converted to first; `depths` what is done where
    /// bit depths differ then. A reference that cannot be opened ends the wait for the others.
    ///
    /// # Errors
    /// When the reference cannot be opened.
    pub fn open(
        reference: &MediaRef,
        distorted: &[&MediaRef],
        conform: [Option<Conform>; 2],
        depths: Depths,
        config: &MediaConfig,
        stop: &Stop,
    ) -> Result<Self, MediaError> {
        let one = |media: &MediaRef, conform: Option<Conform>, stop: &Stop| match conform {
            Some(conform) => open_as(media, conform, config, stop),
            None => open(media, config, stop),
        };
        let (one, distorted_stop) = (&one, &stop.child());
        let (reference, distorted) = std::thread::scope(|scope| {
            let open = |media: &&MediaRef| {
                let media = MediaRef::clone(media);
                scope.spawn(move || one(&media, conform[1], distorted_stop))
            };
            let opening: Vec<_> = distorted.iter().map(open).collect();
            let reference = one(reference, conform[0], stop);
            if reference.is_err() {
                distorted_stop.cancel.cancel();
            }
            (reference, opening.into_iter().map(|thread| thread.join()).collect::<Vec<_>>())
        });
        let distorted = distorted.into_iter();
        let distorted: Vec<Result<Video, MediaError>> = distorted
            .map(|opened| opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        let reference = reference?;
        let largest = |video: &Video| video.info().format.bit_depth;
        let largest = distorted.iter().flatten().map(largest).chain([largest(&reference)]).max();
        let raised = |video: Video| match (depths, largest) {
            (Depths::Largest, Some(largest)) => video.raised_to(largest),
            _ => video,
        };
        let reference = raised(reference);
        let distorted = distorted.into_iter().map(|video| video.map(raised));
        let fits = |video: Video| compare(reference.info(), video.info()).map(|()| video);
        let distorted = distorted.map(|video| video.and_then(fits)).collect();
        Ok(Self { reference, distorted })
    }

    /// How many frames will be compared, over all distorted videos, as far as the files' lengths
    /// tell; `None` where one does not tell.
    #[must_use]
    pub fn frame_count_estimate(&self, range: &PairRange) -> Option<u64> {
        let left =
            |info: &VideoInfo, skip: u64| info.frame_count_estimate.map(|n| n.saturating_sub(skip));
        let reference = left(self.reference.info(), range.skip_reference);
        let count = |video: &Video| {
            let distorted = left(video.info(), range.skip_distorted);
            // The shortest of what is known.
            [reference, distorted, range.frame_count_max].into_iter().flatten().min()
        };
        self.distorted.iter().flatten().map(count).sum()
    }
}

/// Refuses a pair whose size, chroma subsampling or bit depth differ.
fn compare(reference: &VideoInfo, distorted: &VideoInfo) -> Result<(), MediaError> {
    let sizes = [reference, distorted].map(|info| (info.width, info.height));
    if sizes[0] != sizes[1] {
        return Err(MediaError::SizeMismatch { reference: sizes[0], distorted: sizes[1] });
    }
    let (reference, distorted) = (reference.format, distorted.format);
    if reference.chroma != distorted.chroma {
        return Err(MediaError::ChromaMismatch { reference, distorted });
    }
    if reference.bit_depth != distorted.bit_depth {
        return Err(MediaError::DepthMismatch { reference, distorted });
    }
    Ok(())
}

/// The warning for a pair of which one video, or both, had fewer bits a sample than they were
/// compared at. Each comes with the bits that are stored of it.
#[must_use]
pub fn depth_warning(videos: [(&VideoInfo, u8); 2]) -> Option<Warning> {
    let raised = videos.iter().filter(|(info, stored)| info.format.bit_depth > *stored);
    let names: Vec<String> =
        raised.map(|(info, stored)| format!("{} has {stored} bits a sample", info.name)).collect();
    (!names.is_empty()).then(|| Warning {
        code: "bit_depth_raised".to_owned(),
        message: format!(
            "{}; it was compared at {} bits, its samples shifted to the left",
            names.join(" and "),
            videos[0].0.format.bit_depth
        ),
    })
}

/// The warning for a pair of which one video, or both, begins with a picture that has samples above
/// its bits. Each is a name, the bits that are stored of it, and whether it does.
#[must_use]
pub fn exceeded_depth_warning(videos: [(&str, u8, bool); 2]) -> Option<Warning> {
    let exceeding = videos.iter().filter(|(_, _, exceeds)| *exceeds);
    let questions: Vec<String> = exceeding
        .map(|(name, stored, _)| {
            let deeper = if *stored < 12 { 12 } else { 16 };
            format!(
                "{name} has samples above {stored} bits: is this {deeper}-bit, or P0{stored:02} read as \
                 yuv420p{stored}?"
            )
        })
        .collect();
    (!questions.is_empty()).then(|| Warning {
        code: "samples_above_depth".to_owned(),
        message: format!("{} The scores are of the samples as they are", questions.join(" ")),
    })
}

/// The warning for a pair of which `ended` has only `frame_count` frames from its first that
/// counts, while `other` goes on.
#[must_use]
pub fn length_warning(ended: &VideoInfo, other: &VideoInfo, frame_count: u64) -> Warning {
    Warning {
        code: "length_mismatch".to_owned(),
        message: format!(
            "{} ended before {}: {frame_count} frames were compared, up to the end of the shorter; check that both \
             begin at the same picture",
            ended.name, other.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ChromaSubsampling, FailureKind, PixelFormat};

    fn info(width: u32, chroma: ChromaSubsampling, bit_depth: u8) -> VideoInfo {
        VideoInfo {
            name: "/a".to_owned(),
            width,
            height: 16,
            format: PixelFormat { chroma, bit_depth },
            frame_count_estimate: None,
            frame_rate: None,
            decoder: "raw".to_owned(),
            declared: crate::Declared::default(),
        }
    }

    #[test]
    fn only_what_was_raised_is_warned_of() {
        use ChromaSubsampling::C420;
        let warning = |reference, distorted| {
            depth_warning([(&info(32, C420, 10), reference), (&info(32, C420, 10), distorted)])
        };
        assert_eq!(warning(10, 10), None);
        let message = warning(8, 10).expect("the reference was raised").message;
        assert!(message.contains("8 bits a sample") && message.contains("at 10 bits"), "{message}");
    }

    #[test]
    fn only_what_exceeds_its_depth_is_asked_about() {
        let warning =
            |[one, other]: [bool; 2]| exceeded_depth_warning([("/a", 10, one), ("/b", 8, other)]);
        assert_eq!(warning([false, false]), None);
        let message = warning([true, false]).expect("the reference does").message;
        assert!(
            message.contains(
                "/a has samples above 10 bits: is this 12-bit, or P010 read as yuv420p10?"
            )
        );
        assert_eq!(message.matches('?').count(), 1, "{message}");
    }

    #[test]
    fn a_pair_that_differs_is_refused_with_both_values() {
        use ChromaSubsampling::{C420, C422};
        let check = |reference: VideoInfo, distorted: VideoInfo, kind, values: [&str; 2]| {
            let error = compare(&reference, &distorted).expect_err("they differ");
            assert_eq!(error.kind(), kind);
            for value in values {
                assert!(error.to_string().contains(value), "{error}");
            }
        };
        let plain = || info(32, C420, 8);
        check(plain(), info(30, C420, 8), FailureKind::SizeMismatch, ["32x16", "30x16"]);
        check(plain(), info(32, C422, 8), FailureKind::ChromaMismatch, ["4:2:0", "4:2:2"]);
        check(plain(), info(32, C420, 10), FailureKind::DepthMismatch, ["8-bit", "10-bit"]);
        assert!(compare(&plain(), &plain()).is_ok());
    }
}
