//! The search for a quality on real clips: how many probes it takes, how close the finished file is,
//! and whether the answer is the one that trying everything finds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use media::{MediaConfig, SourcePolicy, Stop};
use scoring::RunConfig;
use search::{Evidence, Target};
use types::{Encoder, Quality};
use vmafx_tune::{
    CorpusRequest, CrfOutcome, CrfRequest, EncodeSettings, Environment, Sampling, ScoreSettings,
    SearchSettings, Silent, TuneOutcome, TuneRequest,
};

use crate::Error;
use crate::machine;
use crate::statistics::median;
use crate::table::{Goal, Table, markdown};

/// Probes of a search: half of all take no more.
const PROBES_MEDIAN_GOAL: f64 = 3.0;
/// Nine of ten take no more.
const PROBES_P90_GOAL: f64 = 4.0;
/// How far above its target a finished file may score, unless the next step misses.
const CLOSE: f64 = 0.5;
/// Whole numbers on either side of an answer that are tried exhaustively.
const SWEPT: i32 = 1;

/// What to search.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fast presets: a first look
    #[arg(long)]
    quick: bool,
    /// The ffmpeg with the encoders
    #[arg(long, env = "VMAFX_FFMPEG")]
    ffmpeg: PathBuf,
    /// The folder with bikes.mp4 and bigbuckbunny.mp4
    #[arg(long, env = "VMAFX_TEST_MEDIA")]
    media: PathBuf,
}

/// One search and what trying everything around its answer says.
struct Case {
    clip: &'static str,
    encoder: Encoder,
    target: f64,
    outcome: CrfOutcome,
    /// The largest number in the swept window that meets the target.
    true_answer: Quality,
    /// Whether the window holds a number that misses after it: it is then the answer for sure.
    bounded: bool,
}

impl Case {
    /// Whether the finished file is close to its target, or nothing closer can be had.
    fn holds(&self) -> bool {
        let found = &self.outcome.found;
        let file = self.outcome.file.as_ref();
        let margin = file.map_or(f64::NAN, |file| file.binding.margin());
        (0.0..=CLOSE).contains(&margin)
            || margin >= 0.0 && found.evidence == Evidence::NextStepMisses
    }

    /// Whether it is the answer of the sweep, or as close to the target as was asked for.
    fn is_true(&self) -> bool {
        let found = &self.outcome.found;
        found.quality == self.true_answer || (0.0..=CLOSE).contains(&found.binding.margin())
    }
}

/// Searches, sweeps and prints.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    println!("## tune\n\n{}", machine::describe());
    let folder = tempfile::tempdir()?;
    let mut cases = Vec::new();
    for clip in ["bikes.mp4", "bigbuckbunny.mp4"] {
        for encoder in [Encoder::X264, Encoder::SvtAv1] {
            for target in [80.0, 90.0, 95.0] {
                let case = search(args, folder.path(), clip, encoder, target)?;
                eprintln!("{clip} {encoder} {target}: {} probes", case.outcome.found.probes);
                cases.push(case);
            }
        }
    }
    print(&cases);
    let broken: Vec<_> = cases.iter().filter(|c| !c.holds() || !c.is_true()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let names: Vec<String> =
        broken.iter().map(|c| format!("{} {} {}", c.clip, c.encoder, c.target)).collect();
    Err(format!("the answer does not hold: {}", names.join(", ")).into())
}

fn environment(args: &Args, journal: &Path) -> Environment {
    let mut media = MediaConfig::new(SourcePolicy::unrestricted_local());
    media.ffmpeg.program = Some(args.ffmpeg.clone());
    Environment { journal_dir: Some(journal.to_owned()), ..Environment::new(RunConfig::new(media)) }
}

fn search(
    args: &Args,
    folder: &Path,
    clip: &'static str,
    encoder: Encoder,
    target: f64,
) -> Result<Case, Error> {
    let source = args.media.join(clip).display().to_string();
    let preset = args.quick.then(|| match encoder {
        Encoder::SvtAv1 => "11".to_owned(),
        _ => "veryfast".to_owned(),
    });
    let encode = EncodeSettings { preset, ..EncodeSettings::new(encoder) };
    let journal = |what: &str| folder.join(format!("{what}-{clip}-{encoder}"));
    let request = TuneRequest::Crf(CrfRequest {
        source: source.clone(),
        encode: encode.clone(),
        search: SearchSettings {
            sampling: Sampling::WHOLE,
            ..SearchSettings::new(Target::mean(target))
        },
        output: Some(folder.join("finished.mkv")),
    });
    // Each search remembers nothing of the others; the sweeps of one clip do.
    let env = environment(args, &journal(&format!("search-{target}")));
    let TuneOutcome::Crf(outcome) = vmafx_tune::run(&request, &env, &Stop::never(), &Silent)?
    else {
        return Err("a search gives a search's outcome".into());
    };
    let swept = sweep(args, &journal("sweep"), &source, encode, outcome.found.quality)?;
    let meets: Vec<Quality> =
        swept.iter().filter(|(_, score)| **score >= target).map(|(q, _)| *q).collect();
    let true_answer = meets.last().copied().unwrap_or(Quality(0));
    let bounded = swept.keys().next_back().is_some_and(|last| *last > true_answer);
    Ok(Case { clip, encoder, target, outcome: *outcome, true_answer, bounded })
}

/// The score at every number around an answer.
fn sweep(
    args: &Args,
    journal: &Path,
    source: &str,
    encode: EncodeSettings,
    around: Quality,
) -> Result<BTreeMap<Quality, f64>, Error> {
    let output = journal.with_extension(format!("{}.jsonl", around.0));
    let steps = (-SWEPT * 4..=SWEPT * 4).map(|quarter| Quality(around.0 + quarter * 25));
    let request = TuneRequest::Corpus(CorpusRequest {
        sources: vec![source.to_owned()],
        encodes: vec![encode],
        qualities: steps.collect(),
        score: ScoreSettings::default(),
        sampling: Sampling::WHOLE,
        output: output.clone(),
    });
    vmafx_tune::run(&request, &environment(args, journal), &Stop::never(), &Silent)?;
    let mut scores = BTreeMap::new();
    for line in std::fs::read_to_string(&output)?.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let quality = line["quality"].as_f64().ok_or("a line has a quality")?;
        let score = line["pooled"]["mean"].as_f64().ok_or("a line has a score")?;
        scores.insert(Quality::try_from(quality)?, score);
    }
    Ok(scores)
}

fn print(cases: &[Case]) {
    let head =
        ["clip", "encoder", "target", "answer", "finished", "why", "probes", "by sweep", "true"];
    let mut rows = vec![head.map(str::to_owned)];
    for case in cases {
        let found = &case.outcome.found;
        let finished = case.outcome.file.as_ref().map_or(f64::NAN, |file| file.binding.value);
        rows.push([
            case.clip.to_owned(),
            case.encoder.to_string(),
            case.target.to_string(),
            found.quality.to_string(),
            format!("{finished:.3}"),
            vmafx_tune::show::evidence(found.evidence).to_owned(),
            found.probes.to_string(),
            format!("{}{}", case.true_answer, if case.bounded { "" } else { " or more" }),
            match (found.quality == case.true_answer, case.is_true()) {
                (true, _) => "yes",
                (false, true) => "within the tolerance",
                _ => "NO",
            }
            .to_owned(),
        ]);
    }
    println!("{}", markdown(&rows));
    let mut probes: Vec<f64> = cases.iter().map(|c| c.outcome.found.probes as f64).collect();
    probes.sort_by(f64::total_cmp);
    let p90 = probes[(probes.len() * 9).div_ceil(10) - 1];
    let closest = cases.iter().filter(|case| case.holds()).count();
    let count = cases.len() as f64;
    let mut table = Table::new("search");
    let probe = "probes";
    table.row(
        "probes, median",
        (median(&probes), probe),
        Goal::AtMost(PROBES_MEDIAN_GOAL),
        "peers: 4 by default",
    );
    table.row("probes, p90", (p90, probe), Goal::AtMost(PROBES_P90_GOAL), "");
    table.row(
        "finished files within 0.5 of the target, or the next step misses",
        (closest as f64, "files"),
        Goal::AtLeast(count),
        format!("{count} searches"),
    );
    let agreed = cases.iter().filter(|case| case.is_true()).count();
    table.row(
        "answers that trying every step around them confirms",
        (agreed as f64, "answers"),
        Goal::AtLeast(count),
        "",
    );
    table.print();
}
