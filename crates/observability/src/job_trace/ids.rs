//! Ids that follow from stored ones.

use types::SpanId;

/// What a derived span is to the span from whose id its own follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanRole {
    /// The wait before an attempt; from the attempt's id.
    Wait,
    /// The end of an attempt in the store; from the attempt's id.
    Settle,
    /// The encode of the reference; from the attempt's id and the result's place.
    Encode,
    /// The opening of one pair; from the attempt's id and the distorted video's place.
    Fetch,
    /// The scoring of one pair, likewise.
    Score,
    /// The pooling of one pair, likewise.
    Pool,
    /// The life of a failed job after a retry by hand; from the root span's id and the number of
    /// the retry, from 1.
    Again,
    /// The commit that made something durable; from the id of the span of that something.
    Commit,
    /// The job as a whole; from the id of the span that sent it.
    Job,
    /// The report as its node sent it, where no call of the trace brought it; from the attempt's id.
    Report,
    /// The report as the controller took it, likewise.
    Reported,
}

impl SpanRole {
    /// Part of every derived id: never renumber.
    const fn number(self) -> u64 {
        match self {
            Self::Wait => 1,
            Self::Settle => 2,
            Self::Fetch => 3,
            Self::Score => 4,
            Self::Pool => 5,
            Self::Again => 6,
            Self::Commit => 7,
            Self::Job => 8,
            Self::Encode => 9,
            Self::Report => 10,
            Self::Reported => 11,
        }
    }
}

/// The id of a span that is found from another one's alone: the same in every process and in every
/// run of it, different for each role and index, and as unlikely to meet another as a random one.
#[must_use]
pub fn derived_span_id(base: SpanId, role: SpanRole, index: u32) -> SpanId {
    let key = role.number() << 32 | u64::from(index);
    let base = u64::from_be_bytes(base.to_bytes());
    // A bijection of the base for each key: two attempts never share an id by one role.
    let mixed = mix(base ^ mix(key.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    // One base in 2^64 would give the id that is not allowed.
    SpanId::new(mixed.to_be_bytes()).unwrap_or_else(|| {
        SpanId::new((!mixed).to_be_bytes()).expect("the complement of zero is not zero")
    })
}

/// The id of the span that stands for a job which was sent by the span `send`. That it has this id
/// and no other tells later that `send` is the job's own, and not a span of its caller.
#[must_use]
pub fn root_span_id(send: SpanId) -> SpanId {
    derived_span_id(send, SpanRole::Job, 0)
}

/// The finaliser of SplitMix64: every bit of the input changes half of the output's.
const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ROLES: [SpanRole; 11] = [
        SpanRole::Wait,
        SpanRole::Settle,
        SpanRole::Fetch,
        SpanRole::Score,
        SpanRole::Pool,
        SpanRole::Again,
        SpanRole::Commit,
        SpanRole::Job,
        SpanRole::Encode,
        SpanRole::Report,
        SpanRole::Reported,
    ];

    #[test]
    fn ids_are_the_same_for_ever() {
        let base = SpanId::parse("00f067aa0ba902b7").expect("valid");
        let all: Vec<_> = ROLES
            .iter()
            .map(|role| derived_span_id(base, *role, 0).to_string())
            .chain([derived_span_id(base, SpanRole::Fetch, 63).to_string()])
            .collect();
        // Spans written by an older version must be found again: never change these.
        assert_eq!(all, EXPECTED);
    }

    const EXPECTED: [&str; 12] = [
        "ea358c3c939e4766",
        "541342f8ef1243c8",
        "f7142807c05ae87d",
        "a62504d6c6aa21fe",
        "cb8d1171ca1042be",
        "38773d2debea1002",
        "a52b6f6025ba8d3f",
        "6cef181e598711c5",
        "18d5d5b20932a45c",
        "ec2f446f4c9794da",
        "c3ad0d0a23780d57",
        "d13bc92638008915",
    ];

    #[test]
    fn roles_indices_and_bases_do_not_meet() {
        let mut seen = HashSet::new();
        for base in 1..=2_000_u64 {
            let base = SpanId::new(base.to_be_bytes()).expect("not zero");
            assert!(seen.insert(base));
            for role in ROLES {
                for index in 0..3 {
                    assert!(seen.insert(derived_span_id(base, role, index)), "{role:?} {index}");
                }
            }
        }
    }
}
