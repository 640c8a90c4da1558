//! `vmafx score`: videos scored against their reference, in this process.

mod args;
mod fit;
mod interrupt;
mod output;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::{LogOptions, Precision, write_log};
use media::Stop;
use scoring::{Progress, RunConfig, ScoreError, ScoreRequest};
use types::{BootstrapScore, Failure, MediaRef, ScoreReport, Stage};

pub(crate) use args::ScoreArgs;
use output::LogFile;

use crate::exit;

/// How often the progress line is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the subcommand.
pub(crate) fn run(args: &ScoreArgs) -> ExitCode {
    scoring::refuse_huge_pages();
    let (request, others) = match args.request() {
        Ok(request) => request,
        Err(text) => {
            say(&format!("error: {text}\n\nSee vmafx score --help.\n"));
            return ExitCode::from(exit::USAGE_OR_INTERNAL);
        }
    };
    match score(args, &request, &others) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            say(&format!("error: {}\n", failure.message));
            exit::exit_code(failure.kind)
        }
    }
}

/// Scores all, writes what there is to be written of each, and fails with the first video that does.
fn score(args: &ScoreArgs, request: &ScoreRequest, others: &[MediaRef]) -> Result<(), Failure> {
    let stop = Stop::never();
    interrupt::cancel_when_told(&stop.cancel)?;
    let count = 1 + others.len();
    let logs: Vec<Option<LogFile>> = (1..=count)
        .map(|number| {
            args.output.as_deref().map(|path| LogFile::create(&numbered(path, number, count)))
        })
        .map(Option::transpose)
        .collect::<Result<_, _>>()?;
    let results = run_groups(args, request, others, &stop)?;
    let mut failed = None;
    let videos = std::iter::once(&request.distorted).chain(others);
    for ((video, (why, result)), log) in videos.zip(results).zip(logs) {
        let label = if count > 1 { format!("{}: ", video.uri) } else { String::new() };
        let told = result
            .map_err(|error| error.to_failure())
            .and_then(|report| tell(args, report, &why, log, &label));
        if let Err(failure) = told {
            // The first is told at the end, as of a video alone.
            if failed.is_some() {
                say(&format!("error: {label}{}\n", failure.message));
            }
            failed.get_or_insert(failure);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Scores all distorted videos, those together that are compared in the same way, and gives what
/// became of each in the order asked for, with the reasons why it was compared so.
fn run_groups(
    args: &ScoreArgs,
    request: &ScoreRequest,
    others: &[MediaRef],
    stop: &Stop,
) -> Result<Vec<(Arc<[String]>, Result<ScoreReport, ScoreError>)>, Failure> {
    let config = args.config();
    if !others.is_empty() {
        // In groups of one they would overwrite each other's.
        let plan = request.plan(&config.media.policy).map_err(|error| error.to_failure())?;
        if plan.heat_maps_folder().is_some() {
            return Err(ScoreError::HeatMapsOfMany.to_failure());
        }
    }
    let mut results = Vec::new();
    for (group, why) in fit::groups(args, request, others, &config.media, stop)? {
        if args.explain {
            explain(&group.request, &why);
        }
        let of_group = run_with_progress(&group.request, &group.others, &config, stop, args.quiet)?;
        let why: Arc<[String]> = why.into();
        let of_group = of_group.into_iter().map(|result| (Arc::clone(&why), result));
        results.extend(group.numbers.into_iter().zip(of_group));
    }
    results.sort_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// What is compared, with which models, and why.
fn explain(request: &ScoreRequest, why: &[String]) {
    let models: Vec<String> = request.models.iter().map(|request| request.to_string()).collect();
    say(&format!("{}: {}\n", request.distorted.uri, models.join(", ")));
    for reason in why {
        say(&format!("  {reason}\n"));
    }
}

/// Where the log of one of several distorted videos goes: `log.json` becomes `log.2.json`.
fn numbered(path: &Path, number: usize, count: usize) -> PathBuf {
    let is_file = path.file_name().is_some() && !path.exists() || path.is_file();
    if count == 1 || !is_file {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Warns, writes the log and prints the scores of one video.
fn tell(
    args: &ScoreArgs,
    mut report: ScoreReport,
    why: &[String],
    log: Option<LogFile>,
    label: &str,
) -> Result<(), Failure> {
    for warning in &report.warnings {
        say(&format!("warning: {}\n", warning.message));
    }
    if args.no_prediction {
        drop_predictions(&mut report);
    }
    if let Some(log) = log {
        let options = LogOptions {
            version: env!("CARGO_PKG_VERSION"),
            fps: frames_per_second(&report),
            precision: args.precision(),
            notes: why,
        };
        let mut text = String::new();
        write_log(&mut text, &report, args.format(), &options)
            .expect("writing to a string does not fail");
        log.write(&text)?;
    }
    if !(args.quiet && args.output.is_some()) {
        print_scores(&report, args.precision(), label);
    }
    Ok(())
}

/// Scores, and meanwhile shows how far it is on a terminal.
fn run_with_progress(
    request: &ScoreRequest,
    others: &[MediaRef],
    config: &RunConfig,
    stop: &Stop,
    quiet: bool,
) -> Result<Vec<Result<ScoreReport, ScoreError>>, Failure> {
    let progress = Progress::new();
    let shown = !quiet && io::stderr().is_terminal();
    std::thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        if shown {
            let progress = progress.clone();
            scope.spawn(move || show_progress(&progress, &ended));
        }
        let result = scoring::run_each(request, others, config, stop, &progress);
        // Ends the display before anything else is written.
        drop(done);
        result
    })
    .map_err(|error| error.to_failure())
}

/// Draws one line over and over until the other end of `ended` is gone.
fn show_progress(progress: &Progress, ended: &mpsc::Receiver<()>) {
    const SPINNER: [char; 4] = ['|', '/', '-', '\\'];
    let began = Instant::now();
    for turn in 0.. {
        let over =
            ended.recv_timeout(PROGRESS_INTERVAL) == Err(mpsc::RecvTimeoutError::Disconnected);
        let frames = progress.frames_done();
        let total = progress.frames_total().map_or(String::new(), |total| format!("/{total}"));
        let fps = frames as f64 / began.elapsed().as_secs_f64();
        let spinner = SPINNER[turn % SPINNER.len()];
        say(&format!("\r{frames}{total} frames {spinner} {fps:.2} FPS\x1b[K"));
        if over {
            say("\n");
            return;
        }
    }
}

/// Frames by the wall time in which they were decoded and scored.
fn frames_per_second(report: &ScoreReport) -> f64 {
    let time = report.timings.stage(Stage::Decode) + report.timings.stage(Stage::Score);
    report.frames.frame_count() as f64 / time.as_secs_f64()
}

/// Leaves the features alone, as if no model had been asked.
fn drop_predictions(report: &mut ScoreReport) {
    let models = std::mem::take(&mut report.models);
    let Some(headline) = models.first() else { return };
    // Scores are the last columns, the headline's first among them.
    let columns = report.frames.columns.iter();
    let features = columns.take_while(|column| column.name != headline.name).count();
    report.frames.columns.truncate(features);
    report.pooled.truncate(features);
}

/// One line a model, as libvmaf's tool writes it, on standard output, then one for each
/// collection and for each value of the whole clip; `label` begins each.
fn print_scores(report: &ScoreReport, precision: Precision, label: &str) {
    let shown = |value: f64| match precision {
        Precision::Libvmaf => format!("{value:.6}"),
        Precision::Digits(digits) => format!("{value:.digits$}", digits = usize::from(digits)),
        Precision::Max => value.to_string(),
    };
    let mut text = String::new();
    for model in &report.models {
        text.push_str(&format!("{label}{}: {}\n", model.version, shown(model.pooled.mean)));
    }
    for model in &report.models {
        let Some(sure) = BootstrapScore::find(&model.name, &report.pooled) else { continue };
        let [bagging, low, high] = [sure.bagging, sure.low, sure.high].map(shown);
        let deviation = shown(sure.standard_deviation);
        let version = &model.version;
        text.push_str(&format!(
            "{label}{version}: {bagging}, ci.p95: [{low}, {high}], stddev: {deviation}\n"
        ));
    }
    for (name, value) in &report.aggregates {
        text.push_str(&format!("{label}{name}: {}\n", shown(*value)));
    }
    // Whoever closed the pipe does not want the score; the run is done all the same.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Writes to standard error; that nobody may read it is no error.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
