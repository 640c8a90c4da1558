//! Which refusals may pass, and how long to wait before the next try.
//!
//! Whoever sends bounds the time of all tries together by the message's timeout, so that no pause
//! that a collector asks for is longer than that.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// How often a message is tried.
pub(super) const ATTEMPTS_MAX: u32 = 5;
/// The pause after the first refusal; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause of our own accord.
const PAUSE_MAX: Duration = Duration::from_millis(1_600);
/// The longest pause a collector can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Why a message was not taken.
#[derive(Debug)]
pub(super) struct SendError {
    reason: String,
    pub(super) retry: Retry,
}

impl SendError {
    pub(super) fn new(reason: impl Into<String>, retry: Retry) -> Self {
        Self { reason: reason.into(), retry }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Whether the same message may be taken later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    Soon,
    After(Duration),
}

impl Retry {
    /// What an answer over HTTP that came `now` says.
    pub(super) fn of_http(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let pause = after.and_then(|after| retry_after(after.trim(), now));
                pause.map_or(Self::Soon, Self::After)
            }
            _ => Self::Never,
        }
    }

    pub(super) fn of_grpc(status: &Status) -> Self {
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        match (status.code(), asked) {
            (
                Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss,
                None,
            ) => Self::Soon,
            (
                Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
                | Code::ResourceExhausted,
                Some(after),
            ) => Self::After(after),
            // An exhausted collector that names no time is exhausted for good.
            _ => Self::Never,
        }
    }

    /// The pause before the next try after `attempt` failed; `None` when there is none. `jitter`
    /// from 0 to 1 spreads the processes that a restarted collector meets.
    pub(super) fn pause(self, attempt: u32, jitter: f64) -> Option<Duration> {
        let pause = match self {
            Self::Never => return None,
            Self::Soon => PAUSE_FIRST
                .saturating_mul(2_u32.saturating_pow(attempt - 1))
                .min(PAUSE_MAX)
                .mul_f64(0.75 + jitter / 2.0),
            // Never earlier than asked for.
            Self::After(asked) => asked.min(RETRY_AFTER_MAX).mul_f64(1.0 + jitter / 4.0),
        };
        (attempt < ATTEMPTS_MAX).then_some(pause)
    }
}

/// The pause that `Retry-After` asks for: seconds, or a date of HTTP's, of which one that has passed
/// means at once.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_http_refusals_that_may_pass_are_retried() {
        let after =
            |text| HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
        let none = HeaderMap::new();
        // 1994-11-06 08:49:30 UTC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (status, headers, retry) in [
            (503, &none, Retry::Soon),
            (503, &after("7"), Retry::After(Duration::from_secs(7))),
            (503, &after("Sun, 06 Nov 1994 08:49:37 GMT"), Retry::After(Duration::from_secs(7))),
            // The two older forms, which a recipient must know too.
            (429, &after("Sunday, 06-Nov-94 08:49:37 GMT"), Retry::After(Duration::from_secs(7))),
            (502, &after("Sun Nov  6 08:49:37 1994"), Retry::After(Duration::from_secs(7))),
            (503, &after("Sun, 06 Nov 1994 08:00:00 GMT"), Retry::After(Duration::ZERO)),
            (503, &after("Sun, 06 Nov 1994"), Retry::Soon),
            (503, &after("later"), Retry::Soon),
            (503, &after("-1"), Retry::Soon),
            (429, &none, Retry::Soon),
            (502, &none, Retry::Soon),
            (504, &none, Retry::Soon),
            (500, &none, Retry::Never),
            (400, &after("7"), Retry::Never),
            (401, &none, Retry::Never),
            (404, &none, Retry::Never),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Retry::of_http(status, headers, now), retry, "{status} {headers:?}");
        }
    }

    #[test]
    fn only_grpc_refusals_that_may_pass_are_retried() {
        let seven = Duration::from_secs(7);
        for (code, asked, retry) in [
            (Code::Unavailable, None, Retry::Soon),
            (Code::Unavailable, Some(seven), Retry::After(seven)),
            (Code::Aborted, None, Retry::Soon),
            (Code::ResourceExhausted, None, Retry::Never),
            (Code::ResourceExhausted, Some(seven), Retry::After(seven)),
            (Code::InvalidArgument, Some(seven), Retry::Never),
            (Code::Unauthenticated, None, Retry::Never),
            (Code::Unimplemented, None, Retry::Never),
        ] {
            let status = match asked {
                None => Status::new(code, "refused"),
                asked => Status::with_error_details(
                    code,
                    "refused",
                    ErrorDetails::with_retry_info(asked),
                ),
            };
            assert_eq!(Retry::of_grpc(&status), retry, "{code:?} {asked:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_what_a_collector_asks_is_capped() {
        let millis = |retry: Retry, attempt| retry.pause(attempt, 0.5).map(|at| at.as_millis());
        let soon: Vec<_> = (1..=5).map(|attempt| millis(Retry::Soon, attempt)).collect();
        assert_eq!(soon, [Some(100), Some(200), Some(400), Some(800), None]);
        let hour = Retry::After(Duration::from_secs(3_600));
        assert_eq!(millis(hour, 1), Some(33_750));
        let ever = Retry::After(Duration::MAX);
        assert_eq!(millis(ever, 1), Some(33_750));
        let asked = Retry::After(Duration::from_secs(8)).pause(1, 0.0);
        assert_eq!(asked, Some(Duration::from_secs(8)), "never earlier than asked for");
        assert_eq!(millis(Retry::After(Duration::ZERO), 1), Some(0));
        assert_eq!(millis(Retry::Never, 1), None);
        let spread = [0.0, 1.0].map(|jitter| Retry::Soon.pause(1, jitter).expect("a pause"));
        assert_eq!(spread.map(|pause| pause.as_millis()), [75, 125]);
    }
}
