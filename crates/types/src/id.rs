//! Identifiers. Each has a type of its own, so that a part cannot be mistaken for a job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::hex::encode_lower_hex;
use crate::time::Timestamp;

/// Says which identifier could not be read, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a {}", self.text, self.what)
    }
}

impl std::error::Error for ParseIdError {}

/// A job's public identifier: a UUID version 7, so that ids sort by the time of submission.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(u128);

impl JobId {
    /// Builds a version 7 UUID from the submission time and 74 of the random bits given.
    #[must_use]
    pub fn new(now: Timestamp, random: u128) -> Self {
        let unix_ms =
            u128::from(now.unix_micros().max(0).cast_unsigned() / 1_000) & 0xffff_ffff_ffff;
        let rand_a = (random >> 64) & 0x0fff;
        let rand_b = random & 0x3fff_ffff_ffff_ffff;
        Self(unix_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
    }

    /// The 16 bytes of the UUID, most significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads the 16 bytes that [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        let digits = encode_lower_hex(&self.to_bytes(), &mut digits).as_bytes();
        let mut text = [b'-'; 36];
        for (from, to) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
            text[to..to + from.len()].copy_from_slice(&digits[from]);
        }
        f.write_str(std::str::from_utf8(&text).expect("digits and dashes are ASCII"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl FromStr for JobId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error =
            || ParseIdError { what: "job id (a UUID)", text: text.chars().take(64).collect() };
        let text: &[u8; 36] = text.as_bytes().try_into().map_err(|_| error())?;
        let mut value = 0;
        for (place, byte) in text.iter().enumerate() {
            let is_dash = matches!(place, 8 | 13 | 18 | 23);
            match char::from(*byte).to_digit(16) {
                Some(digit) if !is_dash => value = value << 4 | u128::from(digit),
                None if is_dash && *byte == b'-' => {}
                _ => return Err(error()),
            }
        }
        Ok(Self(value))
    }
}

impl TryFrom<String> for JobId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// A part of a job: the unit that is leased, retried and reported. Grows with submission.
    PartId
}
number_id! {
    /// Guards every transition of a part. It only ever grows: each lease of the part has a larger
    /// one, and a write that names an older one changes nothing.
    Fence
}
number_id! {
    /// One registration of one node process, durable and growing.
    SessionId
}
number_id! {
    /// Random per node process, so that a restarted node is told from a reconnecting one.
    Incarnation
}

impl Fence {
    /// The fence that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A node's name: stable over restarts, unique in the fleet, 1 to 128 printable ASCII characters
/// without white space.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Box<str>);

impl NodeId {
    /// The longest name accepted.
    pub const CHARS_MAX: usize = 128;

    /// Checks and takes a node's name.
    ///
    /// # Errors
    /// When the name is empty, longer than [`CHARS_MAX`](Self::CHARS_MAX) or holds anything but
    /// printable ASCII without white space.
    pub fn new(name: impl Into<String>) -> Result<Self, ParseIdError> {
        let name = name.into();
        let fits = (1..=Self::CHARS_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(Self(name.into_boxed_str()))
        } else {
            let text = name.chars().take(64).collect();
            Err(ParseIdError { what: "node name (1 to 128 printable ASCII characters)", text })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

impl TryFrom<String> for NodeId {
    type Error = ParseIdError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0.into_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_id_is_a_version_7_uuid_of_its_time_and_survives_text() {
        let now = Timestamp::from_unix_micros(1_700_000_000_123_456);
        let id = JobId::new(now, u128::MAX);
        let text = id.to_string();
        assert_eq!(text, "018bcfe5-687b-7fff-bfff-ffffffffffff");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(JobId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn job_ids_sort_by_submission_time() {
        let early = JobId::new(Timestamp::from_unix_micros(1_000_000), u128::MAX);
        let late = JobId::new(Timestamp::from_unix_micros(1_001_000), 0);
        assert!(early < late);
    }

    #[test]
    fn text_that_is_no_uuid_is_refused_by_name() {
        for text in
            ["", "x", "018bcfe5-687b-7fff-bfff-fffffffffff", "018bcfe5-687b-7fff-bfff+ffffffffffff"]
        {
            let error = text.parse::<JobId>().expect_err(text);
            assert!(error.to_string().contains("job id"), "{error}");
        }
    }

    #[test]
    fn node_names_are_short_printable_words() {
        assert!(NodeId::new("rack-7.node_3").is_ok());
        for bad in [String::new(), "a b".into(), "a\n".into(), "x".repeat(129), "ü".into()] {
            assert!(NodeId::new(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
