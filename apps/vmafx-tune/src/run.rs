//! A request from its first step to its outcome, within one trace.

use std::path::Path;
use std::time::SystemTime;

use media::Stop;
use observability::SpanKind;
use observability::schema::{attr, span_name};
use search::Target;
use types::Encoder;

use crate::crf::{Found, Hunt};
use crate::error::TuneError;
use crate::film::shots;
use crate::finish::{Verified, finish};
use crate::ladder::ladder;
use crate::notes::{Notes, key_of, tell_whole};
use crate::outcome::{CrfOutcome, TuneOutcome};
use crate::output::Wanted;
use crate::progress::Sink;
use crate::request::{
    AUDIO_KILOBITS, CrfRequest, EncodeSettings, LIST_MAX, SOURCES_MAX, SWEEP_MAX, Sampling,
    SearchSettings, TuneRequest,
};
use crate::session::{Environment, Session};
use crate::sweep::{compare, corpus};

/// Carries a request out. Blocks until it is done, and ends within 200 ms of a cancel or of the
/// deadline in `stop`, or when the frames being computed then are done.
///
/// # Errors
/// [`TuneError`] names everything that can go wrong. A target that cannot be reached is none: the
/// outcome says so.
pub fn run(
    request: &TuneRequest,
    env: &Environment,
    stop: &Stop,
    sink: &dyn Sink,
) -> Result<TuneOutcome, TuneError> {
    check(request)?;
    let tracer = &env.telemetry.tracer;
    let span = tracer.span(span_name::TUNE).kind(SpanKind::Internal);
    let mut span = if env.force_trace { span.force() } else { span }.start();
    span.set(attr::TUNE_COMMAND, request.command());
    let cx = span.cx().clone();
    let (encoders, needs_files) = needs(request);
    let outcome = {
        // Logs of this thread belong to the run.
        let _within = cx.clone().attach();
        tracing::info!(command = request.command(), "tuning");
        Session::open(env, &encoders, needs_files, stop, sink, &cx).and_then(|session| {
            let outcome = carry_out(request, &session)?;
            Ok((outcome, session.counts()))
        })
    };
    match &outcome {
        Ok((_, (probes, _))) => {
            span.set(attr::TUNE_PROBES, i64::try_from(*probes).unwrap_or(i64::MAX));
        }
        Err(error) => span.fail(error.kind().as_str(), "the run failed"),
    }
    span.end();
    outcome.map(|(outcome, _)| outcome)
}

fn carry_out(request: &TuneRequest, session: &Session<'_>) -> Result<TuneOutcome, TuneError> {
    Ok(match request {
        TuneRequest::Crf(request) => TuneOutcome::Crf(Box::new(crf(session, request)?)),
        TuneRequest::Ladder(request) => TuneOutcome::Ladder(ladder(session, request)?),
        TuneRequest::Compare(request) => TuneOutcome::Compare(compare(session, request)?),
        TuneRequest::Shots(request) => TuneOutcome::Shots(shots(session, request)?),
        TuneRequest::Corpus(request) => TuneOutcome::Corpus(corpus(session, request)?),
    })
}

fn crf(session: &Session<'_>, request: &CrfRequest) -> Result<CrfOutcome, TuneError> {
    let known = session.know(&request.source)?;
    let media = &known.source.media;
    let wanted = match &request.output {
        Some(output) => Some(Wanted::new(output, request.besides, media, session)?),
        None => None,
    };
    let hunt = Hunt { session, known: &known, encode: &request.encode, search: &request.search };
    let remembered = match &wanted {
        Some(wanted) => Some((wanted, Remembered::look(&hunt, request, wanted)?)),
        None => None,
    };
    let found = hunt.find(&request.search.target)?;
    let file = match remembered {
        Some((wanted, remembered)) => Some(remembered.or_make(&hunt, &found, wanted)?),
        None => None,
    };
    Ok(CrfOutcome { source: known.source.media.uri.clone(), found, file })
}

/// The size of a file, and when it was last written.
type State = (u64, SystemTime);

fn state(path: &Path) -> Option<State> {
    let data = path.metadata().ok()?;
    Some((data.len(), data.modified().ok()?))
}

/// What is known of a finished file before anything is tried.
struct Remembered {
    key: String,
    notes: Option<Notes>,
    /// The file is there, and is what this request makes.
    made: Option<(Verified, State)>,
}

impl Remembered {
    /// Looks whether an earlier run made the file.
    ///
    /// # Errors
    /// Among others when something else has its name and is not to be replaced.
    fn look(hunt: &Hunt<'_>, request: &CrfRequest, wanted: &Wanted) -> Result<Self, TuneError> {
        let session = hunt.session;
        let chain = session.chain_here(request.encode.encoder)?;
        let key = key_of(request, &hunt.known.source.sha256, wanted, &chain);
        let notes = Notes::of_files(session.env)?;
        // Before the file is read: what changes meanwhile differs afterwards.
        let seen = state(&wanted.path);
        let made = match &notes {
            Some(notes) => notes.find(&key, &wanted.path, &session.stop)?,
            None => None,
        };
        let made = made.zip(seen);
        if made.is_none() && !session.env.replaces && wanted.path.symlink_metadata().is_ok() {
            return Err(TuneError::Request(format!(
                "{} is there, and is not what this run makes; name another file",
                wanted.path.display()
            )));
        }
        Ok(Self { key, notes, made })
    }

    fn or_make(
        self,
        hunt: &Hunt<'_>,
        found: &Found,
        wanted: &Wanted,
    ) -> Result<Verified, TuneError> {
        let session = hunt.session;
        // The search may have taken hours.
        let is_as_it_was = |seen: &_| state(&wanted.path).as_ref() == Some(seen);
        if let Some((made, _)) = self.made.filter(|(_, seen)| is_as_it_was(seen)) {
            tell_whole(&wanted.path, session);
            return Ok(made);
        }
        let verified = finish(hunt, found, wanted)?;
        if let Some(mut notes) = self.notes {
            notes.add(self.key, &verified, &session.stop)?;
        }
        Ok(verified)
    }
}

/// The encoders that a request asks for, and whether files are made on this machine.
pub(crate) fn needs(request: &TuneRequest) -> (Vec<Encoder>, bool) {
    let encoders = |encodes: &[EncodeSettings]| encodes.iter().map(|one| one.encoder).collect();
    match request {
        TuneRequest::Crf(request) => (vec![request.encode.encoder], request.output.is_some()),
        TuneRequest::Ladder(request) => (vec![request.encode.encoder], request.output.is_some()),
        TuneRequest::Compare(request) => (encoders(&request.encodes), false),
        TuneRequest::Shots(request) => (vec![request.encode.encoder], request.output.is_some()),
        TuneRequest::Corpus(request) => (encoders(&request.encodes), false),
    }
}

/// Checks every bound of a request before anything is started.
pub(crate) fn check(request: &TuneRequest) -> Result<(), TuneError> {
    let refused = |text: String| Err(TuneError::Request(text));
    match request {
        TuneRequest::Crf(request) => {
            check_output(request.output.as_deref(), &request.source)?;
            check_search(&request.search)?;
            check_encodes(std::slice::from_ref(&request.encode))
        }
        TuneRequest::Shots(request) => {
            check_output(request.output.as_deref(), &request.source)?;
            check_search(&request.search)?;
            check_encodes(std::slice::from_ref(&request.encode))
        }
        TuneRequest::Ladder(request) => {
            if request.heights.is_empty() || request.heights.len() > LIST_MAX {
                return refused(format!("name 1 to {LIST_MAX} heights"));
            }
            if !(1.0..=100.0).contains(&request.ratio_min) {
                return refused("rungs lie apart by a factor of 1 to 100".to_owned());
            }
            if !AUDIO_KILOBITS.contains(&request.audio_kilobits.get()) {
                let (least, most) = (AUDIO_KILOBITS.start(), AUDIO_KILOBITS.end());
                return refused(format!("sound takes {least} to {most} kilobits a second"));
            }
            if let Some(folder) = request.output.as_deref().filter(|folder| !folder.is_dir()) {
                return refused(format!("there is no folder {}; make it first", folder.display()));
            }
            check_targets(&request.targets)?;
            check_search(&request.search)?;
            check_encodes(std::slice::from_ref(&request.encode))
        }
        TuneRequest::Compare(request) => {
            check_targets(&request.targets)?;
            check_search(&request.search)?;
            check_encodes(&request.encodes)
        }
        TuneRequest::Corpus(request) => {
            if request.sources.is_empty() || request.sources.len() > SOURCES_MAX {
                return refused(format!("name 1 to {SOURCES_MAX} sources"));
            }
            if request.qualities.is_empty() || request.qualities.len() > SWEEP_MAX {
                return refused(format!("name 1 to {SWEEP_MAX} qualities"));
            }
            if let Some(source) = request.sources.iter().find(|s| is_same(&request.output, s)) {
                return refused(format!("{source} is a source; name another file for the corpus"));
            }
            check_sampling(&request.sampling)?;
            check_encodes(&request.encodes)
        }
    }
}

fn check_targets(targets: &[f64]) -> Result<(), TuneError> {
    if targets.is_empty() || targets.len() > LIST_MAX || !targets.iter().all(|t| t.is_finite()) {
        return Err(TuneError::Request(format!("name 1 to {LIST_MAX} target scores")));
    }
    Ok(())
}

fn check_search(search: &SearchSettings) -> Result<(), TuneError> {
    let Target { constraints, tolerance } = &search.target;
    if constraints.is_empty() || constraints.len() > LIST_MAX {
        return Err(TuneError::Request("name a target, such as 93 or p5=88".to_owned()));
    }
    if !(0.0..=100.0).contains(tolerance) {
        return Err(TuneError::Request(format!("a tolerance of {tolerance} is not 0 to 100")));
    }
    check_sampling(&search.sampling)
}

fn check_sampling(sampling: &Sampling) -> Result<(), TuneError> {
    let fits = sampling.count <= Sampling::COUNT_MAX
        && sampling.count_max <= Sampling::COUNT_MAX
        && (0.0..=3_600.0).contains(&sampling.seconds)
        && sampling.whole_below_seconds >= 0.0;
    let text = || format!("samples are at most {} of at most an hour each", Sampling::COUNT_MAX);
    if fits { Ok(()) } else { Err(TuneError::Request(text())) }
}

fn check_encodes(encodes: &[EncodeSettings]) -> Result<(), TuneError> {
    if encodes.is_empty() || encodes.len() > LIST_MAX {
        return Err(TuneError::Request(format!("name 1 to {LIST_MAX} encoders")));
    }
    for encode in encodes {
        let scale = encode.scale(encode.encoder.scale().steps_per_unit);
        encode.at(scale.at(0)).check().map_err(|error| TuneError::Request(error.to_string()))?;
    }
    Ok(())
}

/// A file must not replace its own source, and its name must say what it is.
fn check_output(output: Option<&Path>, source: &str) -> Result<(), TuneError> {
    let Some(output) = output else { return Ok(()) };
    media::encode::container_of(output)?;
    if is_same(output, source) {
        return Err(TuneError::Request(format!(
            "{} is the source itself; name another file",
            output.display()
        )));
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(TuneError::Request(format!(
            "there is no folder {}; make it first",
            folder.display()
        )));
    }
    Ok(())
}

/// Whether both name the same file that is there.
fn is_same(output: &Path, source: &str) -> bool {
    match (output.canonicalize(), Path::new(source).canonicalize()) {
        (Ok(output), Ok(source)) => output == source,
        _ => false,
    }
}
