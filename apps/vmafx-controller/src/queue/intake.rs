//! What comes in is checked and made ready for the store, on the caller's own thread.

use std::sync::Arc;

use control::{Draft, Report, ReportedOutcome, StoreError, StoredResult};
use store::codec;
use types::{AttemptReport, JobSpec, MediaRef, Outcome, Registration, ReportWay};

use super::error::QueueError;
use super::handle::Submission;

pub(super) fn draft(submission: Submission) -> Result<Draft, QueueError> {
    let Submission { mut spec, tenant, idempotency, trace, root_span_id, call } = submission;
    spec.check().map_err(QueueError::InvalidSpec)?;
    let bounded = |text: &str, max: usize| text.len() <= max;
    if spec.requirements.codecs.is_empty() && needs_ffmpeg(&spec) {
        spec.requirements.codecs.push("ffmpeg".to_owned());
    }
    spec = spec.with_needs();
    let needs = &mut spec.requirements;
    needs.codecs.sort_unstable();
    needs.codecs.dedup();
    let names = needs.backend.iter().chain(&needs.codecs).chain(&needs.encoders);
    if needs.codecs.len().max(needs.encoders.len()) > types::Capabilities::NAMES_MAX
        || !names.clone().all(|name| bounded(name, NAME_BYTES_MAX))
    {
        let text = "the requirements name too many codecs or encoders, or one with too long a name";
        return Err(QueueError::InvalidArgument(text.to_owned()));
    }
    if !bounded(&tenant, TENANT_BYTES_MAX) {
        let text = format!("the tenant's name is over {TENANT_BYTES_MAX} bytes");
        return Err(QueueError::InvalidArgument(text));
    }
    let key_max = control::Config::IDEMPOTENCY_KEY_BYTES_MAX;
    if idempotency.as_ref().is_some_and(|it| it.key.is_empty() || !bounded(&it.key, key_max)) {
        let text = format!("an idempotency key has 1 to {key_max} bytes");
        return Err(QueueError::InvalidArgument(text));
    }
    let spec_encoded = codec::encode_spec(&spec)?.into();
    Ok(Draft {
        spec: Arc::new(spec),
        spec_encoded,
        tenant: tenant.into(),
        parts: vec![None],
        idempotency,
        existing: None,
        trace,
        root_span_id,
        call,
    })
}

/// Endings of files that only ffmpeg reads. A name with another ending says nothing: its node looks
/// into the file.
const FFMPEG_ENDINGS: [&str; 24] = [
    "264", "265", "3gp", "av1", "avi", "flv", "h264", "h265", "hevc", "ivf", "m2ts", "m2v", "m4v",
    "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "obu", "ts", "webm", "wmv",
];

/// Whether a node without ffmpeg is known to fail at this job: it is then not offered to such nodes.
fn needs_ffmpeg(spec: &JobSpec) -> bool {
    let by_name = |media: &MediaRef| {
        let ending = media.uri.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let is_known = ending.is_some_and(|ending| FFMPEG_ENDINGS.contains(&ending.as_str()));
        media.raw.is_none() && (is_known || media.uri.contains("://"))
    };
    std::iter::once(&spec.reference).chain(&spec.distorted).any(by_name)
}

/// Bytes of a tenant's name.
const TENANT_BYTES_MAX: usize = 256;
/// Bytes of a backend's, a codec's or an encoder's name.
const NAME_BYTES_MAX: usize = 64;

pub(super) fn check_capabilities(registration: &Registration) -> Result<(), QueueError> {
    let it = &registration.capabilities;
    let names = it.backends.iter().chain(&it.codecs).chain(&it.encoders);
    let max = types::Capabilities::NAMES_MAX;
    let fits = it.backends.len() <= max
        && it.codecs.len() <= max
        && it.encoders.len() <= max
        && names.clone().all(|name| name.len() <= NAME_BYTES_MAX)
        && it.isa.len() <= NAME_BYTES_MAX
        && it.version.len() <= NAME_BYTES_MAX
        && it.slots <= types::Capabilities::SLOTS_MAX;
    if fits {
        return Ok(());
    }
    let text = format!(
        "a node names at most {max} backends, codecs and encoders of {NAME_BYTES_MAX} bytes, and offers at \
         most {} slots",
        types::Capabilities::SLOTS_MAX
    );
    Err(QueueError::InvalidArgument(text))
}

pub(super) fn encode_report(
    report: AttemptReport,
    received_at: types::Timestamp,
    way: ReportWay,
) -> Result<Report, StoreError> {
    let AttemptReport { part, fence, outcome, timings, digest } = report;
    let outcome = match outcome {
        Outcome::Succeeded(reports) => {
            let result: StoredResult = codec::encode_results(reports)?;
            ReportedOutcome::Succeeded(Arc::new(result))
        }
        Outcome::Failed(failure) => ReportedOutcome::Failed(failure),
        Outcome::Released => ReportedOutcome::Released,
    };
    Ok(Report { part, fence, outcome, timings, digest, received_at, way })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_tell_are_kept_from_nodes_without_ffmpeg() {
        let needs = |distorted: &str| {
            needs_ffmpeg(&JobSpec::pair(MediaRef::new("/clips/a.y4m"), MediaRef::new(distorted)))
        };
        assert!(needs("/clips/b.MP4") && needs("https://host/b"));
        assert!(!needs("/clips/b.y4m") && !needs("/clips/b") && !needs("/clips.mp4/b.bin"));
    }
}
