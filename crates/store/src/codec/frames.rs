//! Frame tables as bytes: every value by its bits.
//!
//! Layout, all little-endian: the letters `VFT1`; row count and column count as `u32`; the frame
//! indices as differences to the one before, each a variable-length integer of 7 bits a byte; for
//! each column the length of its name as `u16`, the name, and its values as `f64`.

use control::{StoreError, StoreErrorKind};
use types::{Column, FrameTable};

use super::{corrupt, internal};

const MAGIC: &[u8; 4] = b"VFT1";
/// Columns of a table at most: far more than all features of all models.
const COLUMNS_MAX: usize = 4_096;
/// Bytes of an encoded table: what one row of a database holds for sure.
const BYTES_MAX: usize = 512 << 20;

/// A frame table as bytes.
///
/// # Errors
/// When a column is not as long as the indices, the indices do not rise, or the table is larger
/// than a store takes.
pub fn encode_frames(table: &FrameTable) -> Result<Vec<u8>, StoreError> {
    const WHAT: &str = "encode frame scores";
    let rows = table.frame_indices.len();
    let lengths_fit = table.columns.iter().all(|column| column.values.len() == rows);
    let rising = table.frame_indices.is_sorted_by(|a, b| a < b);
    if !lengths_fit || !rising || table.columns.len() > COLUMNS_MAX {
        return Err(internal(WHAT, "columns and frame indices do not make a table"));
    }
    let row_count = u32::try_from(rows).map_err(|_| internal(WHAT, "too many frames"))?;
    let column_count = u32::try_from(table.columns.len()).map_err(|e| internal(WHAT, e))?;
    let size = rows.saturating_mul(8).saturating_mul(table.columns.len() + 1);
    if size > BYTES_MAX {
        return Err(internal(WHAT, format!("the table takes more than {BYTES_MAX} bytes")));
    }
    let mut bytes = Vec::with_capacity(64 + rows * (2 + 8 * table.columns.len()));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&row_count.to_le_bytes());
    bytes.extend_from_slice(&column_count.to_le_bytes());
    let mut before = 0;
    for index in &table.frame_indices {
        write_varint(index - before, &mut bytes);
        before = *index;
    }
    for column in &table.columns {
        let length = u16::try_from(column.name.len()).map_err(|e| internal(WHAT, e))?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(column.name.as_bytes());
        for value in &column.values {
            bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
    Ok(bytes)
}

/// A frame table out of what [`encode_frames`] wrote, bit for bit.
///
/// # Errors
/// When the bytes are damaged.
pub fn decode_frames(bytes: &[u8]) -> Result<FrameTable, StoreError> {
    read(bytes).ok_or_else(|| {
        let (kind, operation) = (StoreErrorKind::Corrupt, "read frame scores");
        StoreError::new(kind, operation, "the stored table is damaged")
    })
}

fn read(mut bytes: &[u8]) -> Option<FrameTable> {
    let at = &mut bytes;
    if take(at, 4)? != MAGIC {
        return None;
    }
    let rows = usize::try_from(u32::from_le_bytes(take(at, 4)?.try_into().ok()?)).ok()?;
    let columns = usize::try_from(u32::from_le_bytes(take(at, 4)?.try_into().ok()?)).ok()?;
    // Each row takes at least a byte: a damaged count reserves no more than the bytes there are.
    if columns > COLUMNS_MAX || rows > at.len() {
        return None;
    }
    let mut table = FrameTable { frame_indices: Vec::with_capacity(rows), columns: Vec::new() };
    let mut index = 0_u64;
    for _ in 0..rows {
        index = index.checked_add(read_varint(at)?)?;
        table.frame_indices.push(index);
    }
    for _ in 0..columns {
        let length = u16::from_le_bytes(take(at, 2)?.try_into().ok()?);
        let name = std::str::from_utf8(take(at, usize::from(length))?).ok()?.to_owned();
        let values = take(at, rows.checked_mul(8)?)?.chunks_exact(8);
        let values = values.map(|b| b.try_into().map(|b| f64::from_bits(u64::from_le_bytes(b))));
        table.columns.push(Column { name, values: values.collect::<Result<_, _>>().ok()? });
    }
    at.is_empty().then_some(table)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(count)?;
    *bytes = tail;
    Some(head)
}

fn write_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Joins tables of consecutive parts of one job.
pub(crate) fn join(mut tables: Vec<FrameTable>) -> Result<FrameTable, StoreError> {
    let mut joined = tables.remove(0);
    for table in tables {
        let names = |table: &FrameTable| {
            table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>()
        };
        if names(&joined) != names(&table) {
            return Err(corrupt("read frame scores", "the parts have different columns"));
        }
        joined.frame_indices.extend(table.frame_indices);
        for (column, more) in joined.columns.iter_mut().zip(table.columns) {
            column.values.extend(more.values);
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> FrameTable {
        let values = vec![f64::NAN, -0.0, f64::MIN_POSITIVE / 3.0, 97.428_042_999_999_99];
        FrameTable {
            frame_indices: vec![0, 1, 300, u64::MAX],
            columns: vec![
                Column { name: "vmaf".into(), values: values.clone() },
                Column { name: String::new(), values },
            ],
        }
    }

    fn bits(table: &FrameTable) -> Vec<(String, Vec<u64>)> {
        let bits = |c: &Column| c.values.iter().map(|v| v.to_bits()).collect();
        table.columns.iter().map(|c| (c.name.clone(), bits(c))).collect()
    }

    #[test]
    fn every_bit_comes_back() {
        let bytes = encode_frames(&table()).expect("a table");
        let read = decode_frames(&bytes).expect("ours");
        assert_eq!(read.frame_indices, table().frame_indices);
        assert_eq!(bits(&read), bits(&table()));
    }

    #[test]
    fn damaged_bytes_are_refused_wherever_they_end() {
        let bytes = encode_frames(&table()).expect("a table");
        for end in 0..bytes.len() {
            assert!(decode_frames(&bytes[..end]).is_err(), "cut at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode_frames(&longer).is_err());
        let huge = [&b"VFT1"[..], &[0xff; 8], &[0; 64]].concat();
        assert!(decode_frames(&huge).is_err());
    }

    #[test]
    fn what_is_no_table_is_not_stored() {
        let mut uneven = table();
        uneven.columns[0].values.pop();
        assert!(encode_frames(&uneven).is_err());
        let falling = FrameTable { frame_indices: vec![2, 1], columns: Vec::new() };
        assert!(encode_frames(&falling).is_err());
    }
}
