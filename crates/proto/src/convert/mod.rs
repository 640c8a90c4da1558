//! Conversions between the wire's messages and [`types`], both ways.
//!
//! To the wire is `From` and cannot fail. From the wire is `TryFrom` and checks all that the type
//! in `types` promises: bounds, enum values, lengths that must agree. The error names the field.

mod calls;
mod node;
mod score;
mod spec;
mod view;

pub use node::report_request;
pub use score::{FrameTableBuilder, frame_chunks};

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use types::{State, TraceContext};

use crate::controller as pb;
use crate::error::WireError;

/// Bytes of a name, such as a backend's, a codec's or a feature's.
const NAME_BYTES_MAX: usize = 256;

/// A duration as whole microseconds, held at the largest value.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Takes a field that must be there, and converts it.
pub(crate) fn required<T, U>(value: Option<T>, field: &str) -> Result<U, WireError>
where
    U: TryFrom<T, Error = WireError>,
{
    convert(value.ok_or_else(|| WireError::missing(field))?, field)
}

/// Converts a field that may be absent.
pub(crate) fn optional<T, U>(value: Option<T>, field: &str) -> Result<Option<U>, WireError>
where
    U: TryFrom<T, Error = WireError>,
{
    value.map(|value| convert(value, field)).transpose()
}

/// Converts a field.
pub(crate) fn convert<T, U>(value: T, field: &str) -> Result<U, WireError>
where
    U: TryFrom<T, Error = WireError>,
{
    U::try_from(value).map_err(|error| error.within(field))
}

/// Converts each value of a repeated field that holds at most `max`.
pub(crate) fn repeated<T, U>(values: Vec<T>, field: &str, max: usize) -> Result<Vec<U>, WireError>
where
    U: TryFrom<T, Error = WireError>,
{
    bounded(values.len(), field, max)?;
    let each = |(index, value)| {
        U::try_from(value).map_err(|error: WireError| error.within(&format!("{field}[{index}]")))
    };
    values.into_iter().enumerate().map(each).collect()
}

/// Checks a count or a length against its bound.
pub(crate) fn bounded(count: usize, field: &str, max: usize) -> Result<(), WireError> {
    if count <= max {
        return Ok(());
    }
    Err(WireError::new(field, format!("holds {count}; at most {max} are taken")))
}

/// Reads a field's text.
pub(crate) fn parsed<T>(text: &str, field: &str) -> Result<T, WireError>
where
    T: FromStr<Err: Display>,
{
    text.parse().map_err(|error: T::Err| WireError::new(field, error.to_string()))
}

/// Checks a list of names: each 1 to [`NAME_BYTES_MAX`] bytes.
pub(crate) fn names(names: Vec<String>, field: &str, max: usize) -> Result<Vec<String>, WireError> {
    bounded(names.len(), field, max)?;
    match names.iter().position(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        None => Ok(names),
        Some(index) => Err(WireError::new(
            format!("{field}[{index}]"),
            format!("has {} bytes; a name has 1 to {NAME_BYTES_MAX}", names[index].len()),
        )),
    }
}

impl From<State> for pb::JobState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// Reads a state's number.
pub(crate) fn state(number: i32, field: &str) -> Result<State, WireError> {
    match pb::JobState::try_from(number) {
        Ok(pb::JobState::Queued) => Ok(State::Queued),
        Ok(pb::JobState::Running) => Ok(State::Running),
        Ok(pb::JobState::Succeeded) => Ok(State::Succeeded),
        Ok(pb::JobState::Failed) => Ok(State::Failed),
        Ok(pb::JobState::Cancelled) => Ok(State::Cancelled),
        Ok(pb::JobState::Unspecified) | Err(_) => {
            Err(WireError::new(field, format!("{number} is not a job state")))
        }
    }
}

impl From<TraceContext> for pb::TraceContext {
    fn from(context: TraceContext) -> Self {
        Self { traceparent: context.traceparent(), tracestate: context.tracestate }
    }
}

impl TryFrom<pb::TraceContext> for TraceContext {
    type Error = WireError;

    fn try_from(context: pb::TraceContext) -> Result<Self, WireError> {
        Self::parse(&context.traceparent, &context.tracestate)
            .ok_or_else(|| WireError::new("traceparent", "is not a W3C trace context"))
    }
}
