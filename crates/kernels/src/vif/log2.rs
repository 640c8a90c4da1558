//! Fixed-point binary logarithms, as a table of the reference implementation defines them.
//!
//! The table holds `round(log2f(i) * 2048)` for the 16-bit numbers 32768 to 65535, where `log2f`
//! rounds to the nearest f32, that is to 1/512 after the multiplication. Larger numbers are cut to
//! their 16 leading bits first.

/// Steps per octave.
pub(super) const OCTAVE: i32 = 2048;

/// Exponent and 15 leading fraction bits of `value`, a whole number of 17 to 52 bits.
#[inline(always)]
pub(super) fn key(value: f64) -> u32 {
    (value.to_bits() >> 37) as u32
}

/// The logarithm of the number that `key` came from, in steps.
#[inline(always)]
pub(super) fn log2_steps(table: &[u16; 32768], key: u32) -> i32 {
    i32::from(table[(key & 0x7FFF) as usize]) + OCTAVE * ((key >> 15) as i32 - 1023 - 15)
}

/// The table itself.
pub(super) fn table() -> Box<[u16; 32768]> {
    let values: Vec<u16> = (32768..65536_u32)
        .map(|i| ((f64::from(i).log2() as f32) * 2048.0).round() as u16)
        .collect();
    values.into_boxed_slice().try_into().expect("32768 entries")
}
