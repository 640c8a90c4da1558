//! The decimal logarithm.
//!
//! `x = 2^k m` with `m` from 1 to 2, or from 1/2 to 1 where `k` is negative, so that the two terms of
//! `k log10(2) + log10(e) ln(m)` never cancel. `log10(2)` comes in two parts, the first short enough
//! that its multiples are exact.
//!
//! `ln(m)`, within 0.52 units in the last place: near 1 a polynomial in `m - 1` whose leading terms
//! are summed in two parts; elsewhere `m = 2^j z`, and `ln(z) = ln(c) + ln(1 + r)` with a tabulated
//! point `c` near `z`, `r = z / c - 1`, `|r| < 1/256`, and a polynomial of degree five.

use super::log_table::POINTS;

const fn bits(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// log10(2) in two parts, and log10(e).
const LOG10_2_HIGH: f64 = bits(0x3fd3_4413_509f_6000);
const LOG10_2_LOW: f64 = bits(0x3d59_fef3_11f1_2b36);
const LOG10_E: f64 = bits(0x3fdb_cb7b_1526_e50e);

/// ln(2) in two parts.
const LN2_HIGH: f64 = bits(0x3fe6_2e42_fefa_3800);
const LN2_LOW: f64 = bits(0x3d2e_f357_93c7_6730);

/// Coefficients of `r^2` to `r^6` of `ln(1 + r)` for `|r| < 1/256`.
const SMALL: [f64; 5] = [
    bits(0xbfe0_0000_0000_0001),
    bits(0x3fd5_5555_5551_305b),
    bits(0xbfcf_ffff_ffeb_4590),
    bits(0x3fc9_99b3_24f1_0111),
    bits(0xbfc5_5575_e506_c89f),
];

/// Coefficients of `r^2` to `r^12` of `ln(1 + r)` for `r` between -1/16 and 0.0647.
const NEAR: [f64; 11] = [
    bits(0xbfe0_0000_0000_0000),
    bits(0x3fd5_5555_5555_5577),
    bits(0xbfcf_ffff_ffff_fdcb),
    bits(0x3fc9_9999_9995_dd0c),
    bits(0xbfc5_5555_5567_45a7),
    bits(0x3fc2_4924_a344_de30),
    bits(0xbfbf_ffff_a442_3d65),
    bits(0x3fbc_7184_282a_d6ca),
    bits(0xbfb9_99eb_43b0_68ff),
    bits(0x3fb7_8182_f7af_d085),
    bits(0xbfb5_5213_75d1_45cd),
];

const MANTISSA_BITS: u32 = 52;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_BIAS: i64 = 1023;
/// The smallest normal number.
const NORMAL_MIN: f64 = f64::MIN_POSITIVE;
/// Where the binade of the tabulated points begins: 0.6875.
const BINADE: u64 = 0x3fe6_0000_0000_0000;
/// From here to [`NEAR_END`] the polynomial around 1 serves: 0.9375 to 1.064697265625.
const NEAR_START: u64 = 0x3fee_0000_0000_0000;
const NEAR_END: u64 = 0x3ff1_0900_0000_0000;

/// The decimal logarithm of `x` with glibc's bits; minus infinity for zero, not a number for what
/// is negative or none.
pub fn log10(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        return x;
    }
    // Subnormal numbers are brought up by 2^54 first.
    let (x, brought_up) = if x < NORMAL_MIN { (x * 18_014_398_509_481_984.0, 54) } else { (x, 0) };
    let exponent = (x.to_bits() >> MANTISSA_BITS) as i64 - EXPONENT_BIAS - brought_up;
    let below_one = i64::from(exponent < 0);
    let mantissa_bits =
        (x.to_bits() & MANTISSA) | (((EXPONENT_BIAS - below_one) as u64) << MANTISSA_BITS);
    let power = (exponent + below_one) as f64;
    let low = power * LOG10_2_LOW + LOG10_E * ln(f64::from_bits(mantissa_bits));
    low + power * LOG10_2_HIGH
}

/// The natural logarithm of a number from 1/2 to 2.
fn ln(m: f64) -> f64 {
    let bits = m.to_bits();
    if (NEAR_START..NEAR_END).contains(&bits) {
        return if m == 1.0 { 0.0 } else { ln_near_one(m - 1.0) };
    }
    let above = bits.wrapping_sub(BINADE);
    let (reciprocal, log) = POINTS[(above >> (MANTISSA_BITS - 7)) as usize % POINTS.len()];
    let power = ((above as i64) >> MANTISSA_BITS) as f64;
    let z = f64::from_bits(bits.wrapping_sub(above & !MANTISSA));
    let r = z.mul_add(f64::from_bits(reciprocal), -1.0);
    let start = power.mul_add(LN2_HIGH, f64::from_bits(log));
    let high = start + r;
    let low = power.mul_add(LN2_LOW, start - high + r);
    let square = r * r;
    let low = square.mul_add(SMALL[0], low);
    let odd = r.mul_add(SMALL[2], SMALL[1]);
    let rest = r.mul_add(SMALL[4], SMALL[3]).mul_add(square, odd);
    (r * square).mul_add(rest, low) + high
}

/// `ln(1 + r)` for a small `r`.
fn ln_near_one(r: f64) -> f64 {
    /// Cuts a number to its upper half, whose square is exact.
    const CUT: f64 = 134_217_728.0;
    let square = r * r;
    let cube = r * square;
    let three = |at: usize| square.mul_add(NEAR[at + 2], r.mul_add(NEAR[at + 1], NEAR[at]));
    let last = cube.mul_add(NEAR[10], three(7));
    let rest = last.mul_add(cube, three(4)).mul_add(cube, three(1));
    let r_high = (-CUT).mul_add(r, r.mul_add(CUT, r));
    let r_low = r - r_high;
    let high_square = r_high * r_high;
    let high = high_square.mul_add(NEAR[0], r);
    let low = high_square.mul_add(NEAR[0], r - high);
    let low = (NEAR[0] * r_low).mul_add(r + r_high, low);
    high + rest.mul_add(cube, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments with the bits that glibc 2.36 returned for them.
    const KNOWN: [(f64, u64); 20] = [
        (2.0, 0x3fd3_4413_509f_79ff),
        (3.0, 0x3fde_8927_964f_d5fd),
        (0.5, 0xbfd3_4413_509f_79ff),
        (0.75, 0xbfbf_fbfc_2bbc_7802),
        (0.97, 0xbf8b_176b_c5ac_98d2),
        (1.0001, 0x3f06_c4b5_defc_34d6),
        (1.05, 0x3f95_b2a5_ca1f_47cc),
        (1.07, 0x3f9e_16c7_f0c3_7df0),
        (1.4375, 0x3fc4_2c7e_7fe3_fc02),
        (65025.0, 0x4013_4098_235b_ca4b),
        (4294836225.0, 0x4023_4411_93e6_ea50),
        (6502500.0, 0x401b_4098_235b_ca4b),
        (1e-16, 0xc030_0000_0000_0000),
        (6.5025e20, 0x4034_d026_08d6_f293),
        (0.333_333_333_333_333_3, 0xbfde_8927_964f_d5fe),
        (2073600.0, 0x4019_4453_8de3_b27f),
        (0.0123456789, 0xbffe_8927_975f_6bb6),
        (12.7, 0x3ff1_a92e_172b_57d6),
        (9.999_999_999_999_97e-311, 0xc073_6000_0000_0000),
        (183.25, 0x4002_1ab6_cdcd_eabc),
    ];

    #[test]
    fn known_arguments_give_glibcs_bits() {
        for (x, expected) in KNOWN {
            assert_eq!(log10(x).to_bits(), expected, "{x:?}");
        }
    }

    #[test]
    fn powers_of_ten_give_whole_numbers() {
        let mut power = 1.0;
        for exponent in 0..=22 {
            assert_eq!(log10(power), f64::from(exponent));
            power *= 10.0;
        }
    }

    #[test]
    fn results_are_within_two_units_of_the_machines_own() {
        let mut checked = 0;
        for step in 1..40_000_u32 {
            for x in
                [f64::from(step) * 1.7e-3, 1.0 + f64::from(step) * 1e-6, 1e12 / f64::from(step)]
            {
                let units = log10(x).to_bits().abs_diff(x.log10().to_bits());
                assert!(units <= 2, "{x:?}: {units} units apart");
                checked += 1;
            }
        }
        assert_eq!(checked, 3 * 39_999);
    }

    #[test]
    fn the_ends_of_the_range_are_the_functions() {
        assert_eq!(log10(1.0).to_bits(), 0);
        assert_eq!(log10(0.0), f64::NEG_INFINITY);
        assert_eq!(log10(-0.0), f64::NEG_INFINITY);
        assert_eq!(log10(f64::INFINITY), f64::INFINITY);
        assert!(log10(-1.0).is_nan() && log10(f64::NAN).is_nan());
        assert!((log10(5e-324) + 323.306_215).abs() < 1e-6);
    }
}
