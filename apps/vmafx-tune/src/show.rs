//! Outcomes and events as people and other programs read them.

use std::fmt::Write as _;

use search::Evidence;

use crate::cost::Cost;
use crate::crf::Found;
use crate::finish::Verified;
use crate::outcome::{
    CompareOutcome, CorpusOutcome, CrfOutcome, LadderOutcome, ShotsOutcome, TuneOutcome,
};
use crate::progress::Event;

/// The outcome for people.
#[must_use]
pub fn outcome(outcome: &TuneOutcome) -> String {
    match outcome {
        TuneOutcome::Crf(outcome) => crf(outcome),
        TuneOutcome::Ladder(outcome) => ladder(outcome),
        TuneOutcome::Compare(outcome) => compare(outcome),
        TuneOutcome::Shots(outcome) => shots(outcome),
        TuneOutcome::Corpus(outcome) => corpus(outcome),
    }
}

/// What an evidence means, in a few words.
#[must_use]
pub const fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::WithinTolerance => "within the tolerance",
        Evidence::NextStepMisses => "the next step misses",
        Evidence::EndOfScale => "the end of the scale",
        Evidence::ProbesSpent => "probes spent",
        Evidence::SpentMissing => "probes spent before it was met",
        Evidence::Unreachable => "out of reach",
    }
}

fn crf(outcome: &CrfOutcome) -> String {
    let mut text = found(&outcome.found);
    if let Some(file) = &outcome.file {
        text.push_str(&verified(file));
    }
    text
}

fn found(found: &Found) -> String {
    let mut text = String::new();
    let encoder = found.encode.encoder;
    let _ = writeln!(
        text,
        "{encoder} {} reaches {} = {:.3} for {} ({}, {} probes{})",
        found.quality,
        found.binding.constraint.statistic,
        found.binding.value,
        found.target,
        evidence(found.evidence),
        found.probes,
        if found.samples > 1 { format!(" on {} samples", found.samples) } else { String::new() },
    );
    let interval = found.measured.half_width.map_or(String::new(), |half| format!(" ± {half:.2}"));
    let _ = writeln!(
        text,
        "expected  mean {:.3}{interval}, p5 {:.3}, {:.0} kbit/s",
        found.measured.pooled.mean, found.measured.pooled.p5, found.measured.kilobits_per_second
    );
    text
}

fn verified(file: &Verified) -> String {
    let quality = file.quality.map_or(String::new(), |quality| format!(" at {quality}"));
    let rounds =
        if file.rounds > 1 { format!(", made {} times", file.rounds) } else { String::new() };
    format!(
        "finished  {}{quality}: {} = {:.3} {} {}, mean {:.3}, p5 {:.3}, {:.0} kbit/s, {} bytes{rounds}\n",
        file.output.display(),
        file.binding.constraint.statistic,
        file.binding.value,
        if file.met { "meets" } else { "MISSES" },
        file.binding.constraint.at_least,
        file.pooled.mean,
        file.pooled.p5,
        file.kilobits_per_second,
        file.bytes,
    )
}

fn ladder(outcome: &LadderOutcome) -> String {
    let mut text = format!("{:>11} {:>7} {:>9} {:>8}\n", "SIZE", "QUALITY", "KBIT/S", "SCORE");
    for rung in &outcome.rungs {
        let size = format!("{}x{}", rung.size.0, rung.size.1);
        let (rate, score) = (rung.kilobits_per_second, rung.score);
        let made = rung.file.as_ref().map_or(String::new(), |file| {
            let quality = file.quality.unwrap_or(rung.quality);
            format!(
                "  {} at {quality}: {:.3}, {:.0} kbit/s{}",
                file.output.display(),
                file.pooled.mean,
                file.kilobits_per_second,
                if file.met { "" } else { ", MISSES" }
            )
        });
        let _ = writeln!(text, "{size:>11} {:>7} {rate:>9.0} {score:>8.3}{made}", rung.quality);
    }
    for track in &outcome.sound {
        let language = track.language.as_deref().map_or(String::new(), |name| format!(" ({name})"));
        let (codec, file) = (&track.codec, track.output.display());
        let _ = writeln!(text, "{:>11} {codec}{language}  {file}, {} bytes", "sound", track.bytes);
    }
    let _ = writeln!(
        text,
        "{} renditions measured, {} on the hull",
        outcome.cloud.len(),
        outcome.hull.len()
    );
    text
}

fn compare(outcome: &CompareOutcome) -> String {
    let mut text = format!("{:<12} {:<10} {:>8} {:>9}", "ENCODER", "PRESET", "BD-RATE", "FPS");
    for target in &outcome.targets {
        let _ = write!(text, " {:>18}", format!("AT {target}"));
    }
    text.push('\n');
    for contender in &outcome.contenders {
        let bd_rate = contender.bd_rate.map_or("-".to_owned(), |bd| format!("{:+.1}%", bd * 100.0));
        let encode = &contender.encode;
        let _ = write!(
            text,
            "{:<12} {:<10} {bd_rate:>8} {:>9.1}",
            encode.encoder,
            encode.preset(),
            contender.frames_per_second
        );
        for found in &contender.at {
            let at = match found.evidence.is_met() {
                true => format!("{}: {:.0}k", found.quality, found.measured.kilobits_per_second),
                false => "out of reach".to_owned(),
            };
            let _ = write!(text, " {at:>18}");
        }
        text.push('\n');
    }
    text
}

fn shots(outcome: &ShotsOutcome) -> String {
    let mut text =
        format!("{:>5} {:>8} {:>7} {:>8} {:>9}\n", "SHOT", "FRAMES", "QUALITY", "SCORE", "KBIT/S");
    for (number, shot) in outcome.shots.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>5} {:>8} {:>7} {:>8.3} {:>9.0}{}{}",
            number + 1,
            shot.range.count,
            shot.quality,
            shot.binding.value,
            shot.kilobits_per_second,
            if shot.repairs > 0 {
                format!("  repaired {} times", shot.repairs)
            } else {
                String::new()
            },
            if shot.binding.margin() < 0.0 { "  MISSES" } else { "" },
        );
    }
    let _ = writeln!(
        text,
        "{} shots, {} miss, {:.0} kbit/s",
        outcome.shots.len(),
        outcome.missed,
        outcome.kilobits_per_second
    );
    if let Some(file) = &outcome.file {
        text.push_str(&verified(file));
    }
    text
}

fn corpus(outcome: &CorpusOutcome) -> String {
    let mut text = format!(
        "{}: {} lines written, {} were there\n",
        outcome.output.display(),
        outcome.written,
        outcome.known
    );
    for (source, why) in &outcome.failed {
        let _ = writeln!(text, "left out: {source}: {why}");
    }
    text
}

/// What a request would take, for people.
#[must_use]
pub fn cost(cost: &Cost) -> String {
    let seconds = cost.seconds.map_or(String::new(), |s| format!(", about {}", duration(s)));
    format!(
        "{} trials, {} frames to encode and to score{seconds}; {} source(s), probes look at {} part(s) of the first\n",
        cost.trials,
        cost.frames,
        cost.sources,
        cost.samples.len()
    )
}

/// One line for a terminal; `None` where there is nothing to say.
#[must_use]
pub fn event(event: &Event) -> Option<String> {
    Some(match event {
        Event::Analysing { frames_done, frames_total } => match frames_total {
            Some(total) => format!("reading the source: frame {frames_done} of {total}"),
            None => format!("reading the source: frame {frames_done}"),
        },
        Event::Analysed { source, frame_count, shots } => {
            format!("{source}: {frame_count} frames, {shots} shots")
        }
        Event::Working { quality, frames_encoded, frames_scored, frames_total } => {
            match frames_scored {
                0 => format!("{quality}: encoding frame {frames_encoded} of {frames_total}"),
                scored => format!("{quality}: scoring frame {scored} of {frames_total}"),
            }
        }
        Event::Probed {
            encoder,
            quality,
            remembered,
            score,
            kilobits_per_second,
            seconds_left,
            ..
        } => {
            let known = if *remembered { ", known" } else { "" };
            let left = seconds_left
                .filter(|left| *left >= 1.0)
                .map_or(String::new(), |left| format!(", about {} left", duration(left)));
            format!("{encoder} {quality}: {score:.3}, {kilobits_per_second:.0} kbit/s{known}{left}")
        }
        Event::Found { encoder, quality, binding, probes, evidence: why } => format!(
            "{encoder}: {quality} for {} ({}, {probes} probes)",
            binding.constraint,
            evidence(*why)
        ),
        Event::Widened { half_width, samples } => {
            let why = half_width.map_or("one sample says little of the rest".to_owned(), |half| {
                format!("samples disagree by ± {half:.2}")
            });
            format!("{why}: {samples} from here on")
        }
        Event::Finishing { quality, round } => match round {
            1 => format!("making the file at {quality}"),
            round => format!("making it again at {quality} (round {round})"),
        },
        Event::Verified { binding, met } => format!(
            "scored in full: {} = {:.3}, {}",
            binding.constraint.statistic,
            binding.value,
            if *met { "met" } else { "missed" }
        ),
        Event::Note { message } => message.clone(),
    })
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3_600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!([59.4, 61.0, 3_700.0].map(duration), ["59 s", "1 min 1 s", "1 h 1 min"]);
    }
}
