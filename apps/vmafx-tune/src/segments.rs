//! The fragments of an mp4 file, as its index names them: what playlists point into. Pure.

/// Bytes from the beginning within which the index lies.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 20;

/// Fragments of one file.
const FRAGMENTS_MAX: usize = 65_535;

/// A file of fragments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segments {
    /// Bytes before the index: what a player needs for any fragment.
    pub head_bytes: u64,
    /// The index's bytes, which follow.
    pub index_bytes: u64,
    /// One after the other, without a gap, after the index.
    pub all: Vec<Segment>,
}

/// One fragment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segment {
    /// Where it begins in the file.
    pub first_byte: u64,
    pub bytes: u64,
    pub seconds: f64,
}

impl Segment {
    pub(crate) fn bits_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.seconds
    }
}

impl Segments {
    /// Reads the index (`sidx`) in a file's beginning; `None` where there is none that fits.
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let mut at = 0_usize;
        loop {
            let bytes = usize::try_from(number(head, at, 4)?).ok().filter(|bytes| *bytes >= 8)?;
            let end = at.checked_add(bytes)?;
            if head.get(at + 4..at + 8)? == b"sidx" {
                let all = fragments(head.get(at + 8..end)?, end as u64)?;
                return Some(Self { head_bytes: at as u64, index_bytes: bytes as u64, all });
            }
            at = end;
        }
    }

    /// The most bits that a second of one fragment takes.
    pub(crate) fn bits_per_second_max(&self) -> f64 {
        self.all.iter().map(Segment::bits_per_second).fold(0.0, f64::max)
    }
}

/// Reads an index whose last byte lies before `end`.
fn fragments(index: &[u8], end: u64) -> Option<Vec<Segment>> {
    let wide = *index.first()? != 0;
    let timescale = number(index, 8, 4).filter(|scale| *scale > 0)? as f64;
    let size = if wide { 8 } else { 4 };
    let mut first_byte = end.checked_add(number(index, 12 + size, size)?)?;
    let count_at = 12 + 2 * size + 2;
    let count = usize::try_from(number(index, count_at, 2)?).ok()?;
    let mut all = Vec::new();
    for entry in 0..count.min(FRAGMENTS_MAX) {
        let at = count_at + 2 + entry * 12;
        // The first bit says that it is an index of indices.
        let bytes = number(index, at, 4).filter(|bytes| bytes >> 31 == 0)?;
        let seconds = number(index, at + 4, 4)? as f64 / timescale;
        if bytes == 0 || seconds <= 0.0 {
            return None;
        }
        all.push(Segment { first_byte, bytes, seconds });
        first_byte = first_byte.checked_add(bytes)?;
    }
    (!all.is_empty()).then_some(all)
}

/// A number of so many bytes, the largest first.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(size)?)?;
    Some(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let bytes = u32::try_from(body.len() + 8).expect("small");
        [&bytes.to_be_bytes()[..], kind, body].concat()
    }

    fn index(fragments: &[(u32, u32)]) -> Vec<u8> {
        let mut body = vec![1, 0, 0, 0];
        for word in [1_u32, 16_000, 0, 0, 0, 0] {
            body.extend(word.to_be_bytes());
        }
        body.extend([0, 0]);
        body.extend(u16::try_from(fragments.len()).expect("few").to_be_bytes());
        for (bytes, ticks) in fragments {
            body.extend(bytes.to_be_bytes());
            body.extend(ticks.to_be_bytes());
            body.extend(0x8000_0000_u32.to_be_bytes());
        }
        boxed(b"sidx", &body)
    }

    #[test]
    fn fragments_follow_the_index_without_a_gap() {
        let file = [boxed(b"ftyp", b"iso5"), index(&[(1_000, 32_000), (500, 8_000)])].concat();
        let segments = Segments::read(&file).expect("an index");
        assert_eq!((segments.head_bytes, segments.index_bytes), (12, file.len() as u64 - 12));
        let end = file.len() as u64;
        let first = Segment { first_byte: end, bytes: 1_000, seconds: 2.0 };
        let second = Segment { first_byte: end + 1_000, bytes: 500, seconds: 0.5 };
        assert_eq!(segments.all, [first, second]);
        assert_eq!(segments.bits_per_second_max(), 8_000.0);
    }

    #[test]
    fn what_is_no_index_is_none_at_any_length() {
        let file = [boxed(b"ftyp", b"iso5"), index(&[(1_000, 32_000)])].concat();
        for length in 0..file.len() {
            assert_eq!(Segments::read(&file[..length]), None, "cut at {length}");
        }
        assert_eq!(Segments::read(&boxed(b"moov", &[0; 40])), None);
        assert_eq!(Segments::read(&[0; 64]), None, "a box of no bytes");
        assert_eq!(Segments::read(&index(&[(0x8000_0010, 1)])), None, "an index of indices");
        assert_eq!(Segments::read(&index(&[(10, 0)])), None, "no time");
    }
}
