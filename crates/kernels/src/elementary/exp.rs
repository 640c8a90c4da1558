//! `e` to a power.
//!
//! `x = k ln2 / 128 + r` with `|r| <= ln2 / 256`; `2^(k / 128)` comes from a table of 128 values,
//! each with what its rounding left off, times a power of two; `e^r - 1` is a polynomial of degree
//! five. The error is below 0.511 units in the last place.

mod table;

use table::POWERS;

/// Beyond this magnitude the result is negligible or beyond all features' range, and the machine's
/// own function serves.
const TABLE_MAX: f64 = 512.0;
/// Below this magnitude the result is `1 + x`.
const LINEAR_MAX: f64 = f64::from_bits(0x3c90_0000_0000_0000);

/// 128 / ln2.
const PER_LN2: f64 = f64::from_bits(0x3ff7_1547_652b_82fe) * POWERS.len() as f64;
/// ln2 / 128 in two parts, the first short enough that its multiples are exact.
const LN2_HIGH: f64 = f64::from_bits(0x3f76_2e42_fefa_0000);
const LN2_LOW: f64 = f64::from_bits(0x3d0c_f79a_bc9e_3b39);
/// 1.5 * 2^52: adding it rounds to a whole number, which then lies in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Coefficients of `r^2` to `r^5`, close to 1/2, 1/6, 1/24 and 1/120.
const C2: f64 = f64::from_bits(0x3fdf_ffff_ffff_fdbd);
const C3: f64 = f64::from_bits(0x3fc5_5555_5555_543c);
const C4: f64 = f64::from_bits(0x3fa5_5555_cf17_2b91);
const C5: f64 = f64::from_bits(0x3f81_1111_67a4_d017);

/// `e^x`.
pub fn exp(x: f64) -> f64 {
    if x.is_nan() || x.abs() >= TABLE_MAX {
        return x.exp();
    }
    exp_of_sum(x, 0.0)
}

/// `e^(x + low)`, where `low` is negligible beside `x`, whose magnitude is below 512.
pub(super) fn exp_of_sum(x: f64, low: f64) -> f64 {
    if x.abs() < LINEAR_MAX {
        return 1.0 + x;
    }
    let shifted = PER_LN2.mul_add(x, ROUND);
    let k = shifted.to_bits();
    let whole = shifted - ROUND;
    let r = whole.mul_add(-LN2_LOW, whole.mul_add(-LN2_HIGH, x)) + low;
    let (tail, power) = POWERS[(k % POWERS.len() as u64) as usize];
    // The table holds the bits of 2^(i / 128) less i << 45, so that adding k << 45 adds the whole
    // part of k / 128 to the exponent and the rest cancels.
    let scale = f64::from_bits(power.wrapping_add(k << 45));
    let square = r * r;
    let low = square.mul_add(r.mul_add(C3, C2), f64::from_bits(tail) + r);
    let rest = (square * square).mul_add(r.mul_add(C5, C4), low);
    scale.mul_add(rest, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments with the bits that glibc 2.36 returned for them.
    const KNOWN: [(f64, u64); 12] = [
        (-0.04, 0x3fee_bec9_7e70_0b8d),
        (-1.0, 0x3fd7_8b56_362c_ef38),
        (-0.5, 0x3fe3_68b2_fc6f_960a),
        (0.25, 0x3ff4_8b5e_3c3e_8186),
        (-3.75, 0x3f98_1509_354f_0d29),
        (-1e-09, 0x3fef_ffff_ff76_8fa1),
        (-17.3, 0x3e60_772c_096d_61b7),
        (-0.0027, 0x3fef_e9e9_53ac_0bf4),
        (-123.456, 0x34cd_a9fb_9e4e_e720),
        (-511.5, 0x11d0_b257_8481_80e7),
        (-0.75, 0x3fde_3b40_ebef_cd7e),
        (-6.25, 0x3f5f_a0e9_586a_ebc7),
    ];

    #[test]
    fn known_arguments_give_glibcs_bits() {
        for (x, bits) in KNOWN {
            assert_eq!(exp(x).to_bits(), bits, "{x:?}");
        }
    }

    #[test]
    fn results_are_within_one_unit_of_the_machines_own() {
        let mut checked = 0;
        for step in 0..40_000_i32 {
            for x in [f64::from(step) * -0.012_7, f64::from(step - 20_000) * 1.3e-5] {
                let units = exp(x).to_bits().abs_diff(x.exp().to_bits());
                assert!(units <= 1, "{x:?}: {units} units apart");
                checked += 1;
            }
        }
        assert_eq!(checked, 80_000);
    }

    #[test]
    fn the_ends_of_the_range_are_the_functions() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(1e-300), 1.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e6), 0.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan());
    }
}
