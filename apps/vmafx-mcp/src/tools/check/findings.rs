//! What a pair's differences mean for its score, and what to do about each.

use super::{Finding, Seen, Verdict};
use crate::analysis::align::Alignment;
use crate::tools::probe::MediaOut;

/// Frame rates that differ by less are the same (29.97 and 30 are not).
const RATE_TOLERANCE: f64 = 0.000_5;
/// Durations that differ by less, in seconds, are the same to a container.
const DURATION_TOLERANCE: f64 = 0.1;
/// A slope of luma this near that of a change of range is one.
const SLOPE_TOLERANCE: f64 = 0.025;

/// Everything that was found, the gravest first.
pub(super) fn of(seen: &Seen, first_frame: u64) -> Vec<Finding> {
    let (reference, distorted) = (&seen.reference, &seen.distorted);
    let mut findings = Vec::new();
    findings.extend(shape(reference, distorted));
    findings.extend(timing(reference, distorted));
    findings.extend(colour(reference, distorted));
    match &seen.alignment {
        Some(alignment) => findings.extend(alignment_findings(alignment, first_frame, seen)),
        None => findings.push(Finding {
            code: "too_short_to_align",
            severity: Verdict::Suspicious,
            message: "too few frames could be read to search for a temporal offset".to_owned(),
            fix: Some("lower first_frame, or give videos of at least ten frames".to_owned()),
        }),
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn shape(reference: &MediaOut, distorted: &MediaOut) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut invalid = |code, message: String, fix: String| {
        findings.push(Finding { code, severity: Verdict::Invalid, message, fix: Some(fix) });
    };
    let (r, d) = (reference, distorted);
    if (r.width, r.height) != (d.width, d.height) {
        invalid(
            "size_mismatch",
            format!("reference is {}x{}, distorted {}x{}", r.width, r.height, d.width, d.height),
            format!(
                "ffmpeg -i {} -vf scale={}:{}:flags=bicubic -c:v ffv1 scaled.mkv, then score that",
                quoted(&d.path),
                r.width,
                r.height
            ),
        );
    }
    if r.chroma != d.chroma {
        invalid(
            "chroma_mismatch",
            format!("reference has chroma {}, distorted {}", r.chroma, d.chroma),
            "convert both to one pixel format with ffmpeg -pix_fmt".to_owned(),
        );
    }
    if r.bit_depth != d.bit_depth {
        let deeper = r.bit_depth.max(d.bit_depth);
        invalid(
            "depth_mismatch",
            format!("reference has {} bits, distorted {}", r.bit_depth, d.bit_depth),
            format!("raise the other one to {deeper} bits with ffmpeg -pix_fmt; do not lower one"),
        );
    }
    findings
}

fn timing(reference: &MediaOut, distorted: &MediaOut) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut suspicious = |code, message: String, fix: &str| {
        let fix = Some(fix.to_owned());
        findings.push(Finding { code, severity: Verdict::Suspicious, message, fix });
    };
    if let (Some(r), Some(d)) = (reference.frame_count, distorted.frame_count)
        && r != d
    {
        suspicious(
            "frame_count_mismatch",
            format!("reference has {r} frames, distorted {d}: the shorter decides what is scored"),
            "see whether both begin at the same picture (alignment below); cut both alike, or \
             limit the score with first_frame and frame_count",
        );
    }
    if let (Some(r), Some(d)) = (reference.frame_rate, distorted.frame_rate)
        && (r / d - 1.0).abs() > RATE_TOLERANCE
    {
        suspicious(
            "frame_rate_mismatch",
            format!(
                "reference has {r:.3} frames a second, distorted {d:.3}: frames are paired by \
                 number, not by time"
            ),
            "encode without changing the frame rate, or bring the reference to the rate of the \
             distorted video first",
        );
    }
    if let (Some(r), Some(d)) = (reference.duration_seconds, distorted.duration_seconds)
        && (r - d).abs() > DURATION_TOLERANCE
    {
        suspicious(
            "duration_mismatch",
            format!("reference lasts {r:.2} s, distorted {d:.2} s"),
            "check that both are the same cut",
        );
    }
    findings
}

fn colour(reference: &MediaOut, distorted: &MediaOut) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let (Some(r), Some(d)) = (&reference.range, &distorted.range)
        && r != d
    {
        findings.push(Finding {
            code: "range_mismatch",
            severity: Verdict::Suspicious,
            message: format!("reference declares {r} range, distorted {d}"),
            fix: Some("convert one: ffmpeg -vf scale=in_range=…:out_range=…".to_owned()),
        });
    }
    if let (Some(r), Some(d)) = (&reference.transfer, &distorted.transfer)
        && r != d
    {
        findings.push(Finding {
            code: "transfer_mismatch",
            severity: Verdict::Suspicious,
            message: format!("reference declares the transfer function {r}, distorted {d}"),
            fix: Some("compare videos of one transfer function".to_owned()),
        });
    }
    if let Some(transfer) =
        reference.transfer.as_deref().filter(|t| matches!(*t, "smpte2084" | "arib-std-b67"))
    {
        findings.push(Finding {
            code: "hdr_content",
            severity: Verdict::Suspicious,
            message: format!(
                "the reference is HDR ({transfer}); the built-in models know standard dynamic \
                 range only"
            ),
            fix: Some("use the score to rank encodes of this title, not as a quality".to_owned()),
        });
    }
    if reference.rotation_degrees.unwrap_or(0) != distorted.rotation_degrees.unwrap_or(0) {
        findings.push(Finding {
            code: "rotation_mismatch",
            severity: Verdict::Suspicious,
            message: "players turn one of the videos; scoring does not".to_owned(),
            fix: Some("store both with the same orientation".to_owned()),
        });
    }
    findings
}

fn alignment_findings(found: &Alignment, first_frame: u64, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (offset, sure) = (found.overall.frames, found.overall.is_sure());
    let percent = (found.overall.confidence * 100.0).round();
    let changes = found.stretches.len() > 1;
    if !sure && !changes {
        findings.push(Finding {
            code: "alignment_unknown",
            severity: Verdict::Suspicious,
            message: format!(
                "no temporal offset is clearly better than its neighbours (confidence {percent} %): \
                 the picture stands still, or the videos have little in common"
            ),
            fix: Some("look at a stretch with motion: set first_frame".to_owned()),
        });
    } else if found.is_at_edge() && sure {
        findings.push(beyond(offset, found.offset_max));
    } else if offset != 0 && sure && !changes {
        findings.push(shifted(offset, percent, &seen.distorted, &seen.reference));
    }
    if changes {
        for pair in found.stretches.windows(2) {
            let (before, after) = (pair[0].offset.frames, pair[1].offset.frames);
            let (what, count) = match after - before {
                moved if moved > 0 => ("repeated", moved),
                moved => ("lacks", -moved),
            };
            let at = first_frame + pair[1].first_frame_index as u64;
            findings.push(Finding {
                code: "temporal_drift",
                severity: Verdict::Invalid,
                message: format!(
                    "from frame {at} of the reference on, distorted is {}: it {what} {}",
                    lateness(after),
                    frames(count)
                ),
                fix: Some(
                    "encode with a constant frame rate and without dropping frames \
                     (ffmpeg -fps_mode passthrough), or score the stretches one by one with \
                     first_frame and frame_count"
                        .to_owned(),
                ),
            });
        }
    }
    findings.extend(found.brightness.and_then(|(slope, at_zero)| brightness(slope, at_zero)));
    findings
}

/// The best offset is the last that could be tried.
fn beyond(offset: i64, offset_max: usize) -> Finding {
    let way = if offset > 0 { "late" } else { "early" };
    Finding {
        code: "temporal_offset_beyond",
        severity: Verdict::Invalid,
        message: format!(
            "distorted is {} {way} or more: the best offset is the last that was tried",
            frames(offset_max as i64)
        ),
        fix: Some(
            "find out by how much, then call again with first_frame where both show the same, or \
             with more frames (frame_count) and a larger offset_max"
                .to_owned(),
        ),
    }
}

fn shifted(offset: i64, percent: f64, distorted: &MediaOut, reference: &MediaOut) -> Finding {
    let (late, count) = if offset > 0 { (distorted, offset) } else { (reference, -offset) };
    let flag = if offset > 0 { "--frame_skip_dist" } else { "--frame_skip_ref" };
    Finding {
        code: "temporal_offset",
        severity: Verdict::Invalid,
        message: format!("distorted is {} (confidence {percent} %)", lateness(offset)),
        fix: Some(format!(
            "drop the first {} of {}: ffmpeg -i {} -vf trim=start_frame={count},setpts=PTS-STARTPTS \
             -c:v ffv1 trimmed.mkv and score that, or on the command line vmafx score … {flag} \
             {count}",
            frames(count),
            quoted(&late.path),
            quoted(&late.path),
        )),
    }
}

fn brightness(slope: f64, at_zero: f64) -> Option<Finding> {
    let squeezed = 219.0 / 255.0;
    let what = if (slope - squeezed).abs() < SLOPE_TOLERANCE && at_zero > 8.0 {
        "full, the distorted limited"
    } else if (slope - 1.0 / squeezed).abs() < SLOPE_TOLERANCE && at_zero < -8.0 {
        "limited, the distorted full"
    } else {
        return None;
    };
    Some(Finding {
        code: "range_changed",
        severity: Verdict::Invalid,
        message: format!(
            "the distorted luma is {slope:.3} times the reference's plus {at_zero:.1}: the samples \
             of the reference have {what} range, whatever the files declare"
        ),
        fix: Some(
            "keep the range when encoding: ffmpeg -vf scale=in_range=…:out_range=…".to_owned(),
        ),
    })
}

/// `1 frame late`, `2 frames early`, `aligned`.
fn lateness(offset: i64) -> String {
    match offset {
        0 => "aligned".to_owned(),
        late if late > 0 => format!("{} late", frames(late)),
        early => format!("{} early", frames(-early)),
    }
}

fn frames(count: i64) -> String {
    if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// The verdict in a sentence.
pub(super) fn summary(
    verdict: Verdict,
    findings: &[Finding],
    alignment: Option<&Alignment>,
) -> String {
    match (verdict, findings.first()) {
        (Verdict::Invalid, Some(gravest)) => {
            format!("Do not score this pair as it is: {}.", gravest.message)
        }
        (Verdict::Suspicious, Some(gravest)) => {
            format!("A score may be misleading: {}.", gravest.message)
        }
        _ => format!(
            "The pair fits: same shape, and aligned in time ({} frames compared).",
            alignment.map_or(0, |found| found.frames_compared)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media() -> MediaOut {
        MediaOut {
            path: "/videos/it's.mp4".to_owned(),
            width: 640,
            height: 360,
            chroma: "420".to_owned(),
            bit_depth: 8,
            frame_count: Some(100),
            frame_count_estimate: None,
            frame_rate: Some(25.0),
            duration_seconds: Some(4.0),
            codec: None,
            range: None,
            colour_matrix: None,
            colour_primaries: None,
            transfer: None,
            sample_aspect: None,
            rotation_degrees: None,
            decoder: "y4m".to_owned(),
        }
    }

    fn codes(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn every_difference_is_named_with_a_way_out() {
        let other = MediaOut {
            width: 320,
            bit_depth: 10,
            chroma: "444".to_owned(),
            frame_count: Some(99),
            frame_rate: Some(24.975),
            duration_seconds: Some(3.5),
            ..media()
        };
        let mut found = shape(&media(), &other);
        found.extend(timing(&media(), &other));
        assert_eq!(
            codes(&found),
            [
                "size_mismatch",
                "chroma_mismatch",
                "depth_mismatch",
                "frame_count_mismatch",
                "frame_rate_mismatch",
                "duration_mismatch"
            ]
        );
        assert!(found.iter().all(|finding| finding.fix.is_some()));
        let fix = found[0].fix.as_deref().unwrap_or_default();
        assert!(fix.contains(r"'/videos/it'\''s.mp4'"), "a path is one word of a shell: {fix}");
        assert!(shape(&media(), &media()).is_empty() && timing(&media(), &media()).is_empty());
    }

    #[test]
    fn a_shift_says_who_is_late_and_whom_to_trim() {
        let late = shifted(1, 93.0, &media(), &media());
        assert_eq!(late.message, "distorted is 1 frame late (confidence 93 %)");
        assert!(late.fix.as_deref().is_some_and(|fix| fix.contains("--frame_skip_dist 1")));
        let early = shifted(-2, 93.0, &media(), &media());
        assert_eq!(early.message, "distorted is 2 frames early (confidence 93 %)");
        assert!(early.fix.as_deref().is_some_and(|fix| fix.contains("--frame_skip_ref 2")));
    }

    #[test]
    fn an_offset_at_the_edge_is_no_advice_to_trim() {
        let found = beyond(-10, 10);
        assert!(found.message.contains("10 frames early or more"), "{}", found.message);
        assert!(found.fix.is_some_and(|fix| !fix.contains("trim")));
    }

    #[test]
    fn a_change_of_range_is_told_from_a_change_of_brightness() {
        assert!(brightness(219.0 / 255.0, 16.0).is_some());
        assert!(brightness(255.0 / 219.0, -18.6).is_some());
        assert!(brightness(1.0, 3.0).is_none());
        assert!(brightness(0.86, 0.5).is_none());
    }
}
