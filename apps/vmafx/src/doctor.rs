//! `vmafx doctor`: whether this installation is sound, by a clip whose score is known.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use engine::{Isa, IsaLevel};
use media::{MediaConfig, SourcePolicy, Stop};
use scoring::{Progress, RunConfig, ScoreRequest};
use types::MediaRef;

use crate::remote::{finish, print};
use crate::{clip, exit};

/// What `vmafx doctor` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {}

/// One thing looked at.
struct Finding {
    what: &'static str,
    /// `Err` says what to do.
    outcome: Result<String, String>,
    /// Whether scoring is impossible without it.
    vital: bool,
}

/// Runs `vmafx doctor`.
pub(crate) fn doctor(_: &DoctorArgs) -> ExitCode {
    let mut findings = vec![isa()];
    findings.extend(Isa::available().into_iter().map(|isa| golden_score(isa.level())));
    findings.push(ffmpeg());
    let text = findings.iter().fold(String::new(), |mut text, finding| {
        let (mark, said) = match (&finding.outcome, finding.vital) {
            (Ok(said), _) => ("ok", said),
            (Err(said), true) => ("FAILED", said),
            (Err(said), false) => ("missing", said),
        };
        let _ = writeln!(text, "{mark:<8}{:<16}{said}", finding.what);
        text
    });
    let is_sound = findings.iter().all(|finding| finding.outcome.is_ok() || !finding.vital);
    let printed = finish(print(&text));
    if is_sound { printed } else { ExitCode::from(exit::USAGE_OR_INTERNAL) }
}

fn isa() -> Finding {
    let names: Vec<String> = Isa::available().iter().map(ToString::to_string).collect();
    Finding {
        what: "instruction set",
        outcome: Ok(format!("{} (scores use the last)", names.join(", "))),
        vital: true,
    }
}

/// Scores the built-in clip on one instruction set and compares with libvmaf, bit for bit.
fn golden_score(level: IsaLevel) -> Finding {
    Finding { what: "golden score", outcome: score_on(level), vital: true }
}

fn score_on(level: IsaLevel) -> Result<String, String> {
    let folder =
        tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let (reference, distorted) = clip::write_into(folder.path())
        .map_err(|error| format!("cannot write the clip: {error}"))?;
    let name = |path: PathBuf| MediaRef::new(path.to_string_lossy());
    let request = ScoreRequest::pair(name(reference), name(distorted));
    let mut config = RunConfig::new(MediaConfig::new(SourcePolicy::unrestricted_local()));
    config.isa_limit = level;
    let report = scoring::run(&request, &config, &Stop::never(), &Progress::new())
        .map_err(|error| error.to_string())?;
    let score =
        report.headline().map(|model| model.pooled.mean).ok_or("the report has no score")?;
    if score.to_bits() == clip::GOLDEN_SCORE.to_bits() {
        Ok(format!("{score} on {level}, as libvmaf {}", engine::LIBVMAF_VERSION))
    } else {
        Err(format!(
            "{score} on {level}, but libvmaf gives {}: do not trust scores made here",
            clip::GOLDEN_SCORE
        ))
    }
}

fn ffmpeg() -> Finding {
    let program =
        std::env::var_os("VMAFX_FFMPEG").map_or_else(|| PathBuf::from("ffmpeg"), PathBuf::from);
    let asked =
        Command::new(&program).arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let outcome = match asked {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            Ok(said.lines().next().unwrap_or_default().to_owned())
        }
        _ => Err(format!(
            "{} does not run; only y4m and raw YUV can be scored. Install ffmpeg, or name one by VMAFX_FFMPEG",
            program.display()
        )),
    };
    Finding { what: "ffmpeg", outcome, vital: false }
}
