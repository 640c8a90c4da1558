//! How the calls on a job's way are kept: a few bytes a row, for most rows none.

use std::time::Duration;

use control::StoreError;
use types::{
    CallerSpan, ReportSpans, ReportWay, SpanId, SubmitCall, SubmitMethod, Timestamp, TraceId,
};

use super::corrupt;

/// Bytes of the call that submitted a job: method, caller's role, two ids, two spans of time.
const SUBMIT_BYTES: usize = 26;
/// Bytes of a report's way without spans: a span of time.
const REPORT_BYTES: usize = 4;
/// Bytes of a report's way with its spans: flags, and three ids more.
const REPORT_SPANS_BYTES: usize = REPORT_BYTES + 33;

const NO_CALLER: u8 = 0;
const LINKED: u8 = 1;
const PARENT: u8 = 2;

/// Flag of a report's spans: the controller recorded its own.
const RECORDED: u8 = 1;
/// Flag of a report's spans: no call brought it, but a message of the work stream.
const BY_STREAM: u8 = 2;

/// Methods as numbers. Part of the file's format: never renumber.
const fn method_number(method: SubmitMethod) -> u8 {
    match method {
        SubmitMethod::SubmitJob => 1,
        SubmitMethod::SubmitJobs => 2,
        SubmitMethod::PostJobs => 3,
    }
}

/// What lies so long before, in microseconds, at most 71 minutes: a call that took longer to
/// arrive is told as having begun then.
fn before(at: Timestamp, earlier: Timestamp) -> [u8; 4] {
    whole_micros(at.since(earlier))
}

fn whole_micros(duration: Duration) -> [u8; 4] {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX).to_le_bytes()
}

fn from_micros(bytes: [u8; 4]) -> Duration {
    Duration::from_micros(u32::from_le_bytes(bytes).into())
}

/// The call, by its distance from the moment of acceptance.
pub(crate) fn encode_submit_call(call: &SubmitCall, submitted_at: Timestamp) -> [u8; SUBMIT_BYTES] {
    let mut bytes = [0; SUBMIT_BYTES];
    bytes[0] = method_number(call.method);
    bytes[1] = match call.caller {
        None => NO_CALLER,
        Some(CallerSpan { is_parent: false, .. }) => LINKED,
        Some(CallerSpan { is_parent: true, .. }) => PARENT,
    };
    bytes[2..10].copy_from_slice(&call.span_id.to_bytes());
    let caller = call.caller.map(|caller| caller.span_id.to_bytes());
    bytes[10..18].copy_from_slice(&caller.unwrap_or_default());
    bytes[18..22].copy_from_slice(&before(submitted_at, call.began_at));
    bytes[22..].copy_from_slice(&before(submitted_at, call.sent_at));
    bytes
}

pub(crate) fn decode_submit_call(
    bytes: &[u8],
    submitted_at: Timestamp,
) -> Result<SubmitCall, StoreError> {
    let read = || {
        let bytes: &[u8; SUBMIT_BYTES] = bytes.try_into().ok()?;
        let method = SubmitMethod::ALL.into_iter().find(|it| method_number(*it) == bytes[0])?;
        let is_parent = match bytes[1] {
            NO_CALLER => None,
            LINKED => Some(false),
            PARENT => Some(true),
            _ => return None,
        };
        let caller = SpanId::new(*bytes[10..].first_chunk()?);
        let earlier = |from: usize| Some(from_micros(*bytes[from..].first_chunk()?));
        Some(SubmitCall {
            method,
            span_id: SpanId::new(*bytes[2..].first_chunk()?)?,
            caller: match is_parent {
                None => None,
                Some(is_parent) => Some(CallerSpan { span_id: caller?, is_parent }),
            },
            began_at: submitted_at.before(earlier(18)?),
            sent_at: submitted_at.before(earlier(22)?),
        })
    };
    read().ok_or_else(|| corrupt("read a submission's call", "wrong length or an unknown value"))
}

/// How a report came: nothing for most, which come over the work stream and have no spans.
pub(crate) fn encode_report_way(way: &ReportWay) -> Vec<u8> {
    if !way.is_call && way.spans.is_none() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(REPORT_SPANS_BYTES);
    bytes.extend(whole_micros(way.lead));
    if let Some(spans) = &way.spans {
        let by_stream = if way.is_call { 0 } else { BY_STREAM };
        bytes.push(by_stream | if spans.is_recorded { RECORDED } else { 0 });
        bytes.extend(spans.trace_id.to_bytes());
        bytes.extend(spans.span_id.to_bytes());
        bytes.extend(spans.caller.map(SpanId::to_bytes).unwrap_or_default());
    }
    bytes
}

pub(crate) fn decode_report_way(bytes: &[u8]) -> Result<ReportWay, StoreError> {
    let read = || {
        let (lead, spans) = match bytes.len() {
            0 => return Some(ReportWay::STREAM),
            REPORT_BYTES | REPORT_SPANS_BYTES => bytes.split_first_chunk()?,
            _ => return None,
        };
        let lead = from_micros(*lead);
        let [flags, ids @ ..] = spans else { return Some(ReportWay { lead, ..ReportWay::CALL }) };
        let spans = ReportSpans {
            is_recorded: flags & RECORDED != 0,
            trace_id: TraceId::new(*ids.first_chunk()?)?,
            span_id: SpanId::new(*ids[16..].first_chunk()?)?,
            caller: SpanId::new(*ids[24..].first_chunk()?),
        };
        Some(ReportWay { is_call: flags & BY_STREAM == 0, lead, spans: Some(spans) })
    };
    read().ok_or_else(|| corrupt("read a report's way", "wrong length or an id of zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(byte: u8) -> SpanId {
        SpanId::new([byte; 8]).expect("not zero")
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_unix_micros(micros)
    }

    #[test]
    fn calls_read_back_and_damage_is_told() {
        let accepted_at = at(10_000_000_000);
        for (method, caller) in [
            (SubmitMethod::SubmitJob, None),
            (SubmitMethod::SubmitJobs, Some(CallerSpan { span_id: span(9), is_parent: true })),
            (SubmitMethod::PostJobs, Some(CallerSpan { span_id: span(9), is_parent: false })),
        ] {
            let (began_at, sent_at) = (at(9_999_000_000), at(9_999_999_999));
            let call = SubmitCall { method, span_id: span(3), caller, began_at, sent_at };
            let bytes = encode_submit_call(&call, accepted_at);
            assert_eq!(decode_submit_call(&bytes, accepted_at), Ok(call));
            assert!(decode_submit_call(&bytes[1..], accepted_at).is_err());
            let unknown = [&[0], &bytes[1..]].concat();
            assert!(decode_submit_call(&unknown, accepted_at).is_err());
        }
        let spans = ReportSpans {
            trace_id: TraceId::new([7; 16]).expect("not zero"),
            span_id: span(1),
            caller: None,
            is_recorded: true,
        };
        let lead = Duration::from_micros(u32::MAX.into());
        let below = ReportSpans { caller: Some(span(2)), is_recorded: false, ..spans };
        for (is_call, spans) in [
            (true, None),
            (true, Some(spans)),
            (true, Some(below)),
            (false, Some(spans)),
            (false, Some(below)),
        ] {
            let way = ReportWay { is_call, lead, spans };
            let bytes = encode_report_way(&way);
            assert_eq!(decode_report_way(&bytes), Ok(way));
            assert!(decode_report_way(&bytes[1..]).is_err());
        }
        assert!(encode_report_way(&ReportWay::STREAM).is_empty());
        assert_eq!(decode_report_way(&[]), Ok(ReportWay::STREAM));
    }

    #[test]
    fn a_call_that_took_longer_than_is_kept_begins_as_early_as_can_be_told() {
        let (began_at, accepted_at) = (at(0), at(9_000_000_000));
        let (method, span_id, caller) = (SubmitMethod::SubmitJob, span(3), None);
        let call = SubmitCall { method, span_id, caller, began_at, sent_at: accepted_at };
        let bytes = encode_submit_call(&call, accepted_at);
        let told = decode_submit_call(&bytes, accepted_at).expect("in good order");
        assert_eq!(told.began_at, at(9_000_000_000 - i64::from(u32::MAX)));
        assert_eq!(told.sent_at, accepted_at);
    }
}
