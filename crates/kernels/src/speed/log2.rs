//! The logarithm to base 2 of an `f64`, the same bits on every machine.
//!
//! Performs the operations of glibc's `log2` (2.28 and later, on processors with fused
//! multiplication and addition) in their order: with `x = 2^k z`, `z` in `[0.6875, 1.375)` and `c`
//! near `z` from a table of 64, `log2 x = k + log2 c + log2(1 + r)` where `r = z / c - 1`; the last
//! is a polynomial of degree 7. Near 1 a polynomial of degree 11 in `x - 1` serves alone. The error
//! is below 0.55 units in the last place.
//!
//! Nothing branches, so that several run side by side. Fused operations are exact by definition,
//! and so the same where the processor lacks them.

use crate::isa::Portable;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};

/// `a * b + c`, rounded once on every instruction set.
pub(super) trait Fused: Copy {
    fn fused(self, a: f64, b: f64, c: f64) -> f64;
}

impl Fused for Portable {
    #[inline(always)]
    fn fused(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl Fused for Avx2 {
    #[inline(always)]
    fn fused(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl Fused for Avx512 {
    #[inline(always)]
    fn fused(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

/// 1 / ln 2 in two parts.
const INV_LN2: [f64; 2] =
    [f64::from_bits(0x3ff7_1547_6520_0000), f64::from_bits(0x3de7_05fc_2eef_a200)];

/// Coefficients of `r^2` to `r^7` where the table serves.
const FAR: [f64; 6] = [
    f64::from_bits(0xbfe7_1547_652b_8339),
    f64::from_bits(0x3fde_c709_dc3a_04be),
    f64::from_bits(0xbfd7_1547_6470_2ffb),
    f64::from_bits(0x3fd2_776c_5003_4c48),
    f64::from_bits(0xbfce_c7b3_28ea_92bc),
    f64::from_bits(0x3fca_6225_e117_f92e),
];

/// Coefficients of `r^2` to `r^11` near 1.
const NEAR: [f64; 10] = [
    f64::from_bits(0xbfe7_1547_652b_82fe),
    f64::from_bits(0x3fde_c709_dc3a_03f7),
    f64::from_bits(0xbfd7_1547_652b_7c3f),
    f64::from_bits(0x3fd2_776c_50f0_5be4),
    f64::from_bits(0xbfce_c709_dd76_8fe5),
    f64::from_bits(0x3fca_6176_1ec4_e736),
    f64::from_bits(0xbfc7_153f_bc64_a79b),
    f64::from_bits(0x3fc4_84d1_54f0_1b4a),
    f64::from_bits(0xbfc2_89e4_a72c_383c),
    f64::from_bits(0x3fc0_b32f_285a_ee66),
];

/// Bits of 0.6875, where `z` begins.
const Z_MIN_BITS: u64 = 0x3fe6_0000_0000_0000;
/// Bits of the least `x` that is near 1, and how many bit patterns from there are.
const NEAR_BITS: u64 = 0x3fee_a4af_0000_0000;
const NEAR_SPAN: u64 = 0x0002_10aa_0000_0000;
/// 2^52: its low bits hold a whole number.
const WHOLE: f64 = 4_503_599_627_370_496.0;
/// Added to the exponent to make it positive.
const BIAS: u64 = 1024;

/// `log2 x`; NaN below 0, minus infinity at 0. Subnormal arguments count as 0.
#[inline(always)]
pub(super) fn log2(fused: impl Fused, x: f64) -> f64 {
    let bits = x.to_bits();
    let near = bits.wrapping_sub(NEAR_BITS) < NEAR_SPAN;
    let value = if near { log2_near(fused, x) } else { log2_far(fused, bits) };
    let value = if x < f64::MIN_POSITIVE { f64::NEG_INFINITY } else { value };
    let value = if x < 0.0 { f64::NAN } else { value };
    // Infinity, and what is not a number, are their own logarithms.
    if x < f64::INFINITY { value } else { x }
}

#[inline(always)]
fn log2_far(fused: impl Fused, bits: u64) -> f64 {
    let offset = bits.wrapping_sub(Z_MIN_BITS);
    let (inverse, log) = TABLE[(offset >> 46) as usize % TABLE.len()];
    let exponent = offset.wrapping_add(BIAS << 52) >> 52;
    let k = f64::from_bits(WHOLE.to_bits() | exponent) - (WHOLE + BIAS as f64);
    let z = f64::from_bits(bits.wrapping_sub(offset & (0xfff << 52)));
    let r = fused.fused(z, inverse, -1.0);

    let linear = r * INV_LN2[0];
    let linear_low = fused.fused(r, INV_LN2[1], fused.fused(r, INV_LN2[0], -linear));
    let whole = k + log;
    let high = whole + linear;
    let low = whole - high + linear + linear_low;
    let square = r * r;
    let poly = fused.fused(
        square * square,
        fused.fused(r, FAR[5], FAR[4]),
        fused.fused(square, fused.fused(r, FAR[3], FAR[2]), fused.fused(r, FAR[1], FAR[0])),
    );
    fused.fused(square, poly, low) + high
}

#[inline(always)]
fn log2_near(fused: impl Fused, x: f64) -> f64 {
    let r = x - 1.0;
    let linear = r * INV_LN2[0];
    let linear_low = fused.fused(r, INV_LN2[1], fused.fused(r, INV_LN2[0], -linear));
    let square = r * r;
    let fourth = square * square;
    let second = fused.fused(r, NEAR[1], NEAR[0]);
    let high = fused.fused(square, second, linear);
    let low = fused.fused(square, second, linear - high) + linear_low;
    let pair = |at: usize| fused.fused(r, NEAR[at + 1], NEAR[at]);
    let middle = fused.fused(square, pair(4), pair(2));
    let poly = fused.fused(fourth, fused.fused(square, pair(8), pair(6)), middle);
    high + fused.fused(fourth, poly, low)
}

/// For each `c`: the `f64` nearest to `1 / c`, and `log2 c`.
const TABLE: [(f64, f64); 64] = [
    (f64::from_bits(0x3ff7_2428_6bb1_acf8), f64::from_bits(0xbfe1_095f_eecd_b000)),
    (f64::from_bits(0x3ff6_e1f7_66d2_cca1), f64::from_bits(0xbfe0_8494_bd76_d000)),
    (f64::from_bits(0x3ff6_a13d_0e30_d48a), f64::from_bits(0xbfe0_0143_aee8_f800)),
    (f64::from_bits(0x3ff6_61ec_32d0_6c85), f64::from_bits(0xbfde_fec5_360b_4000)),
    (f64::from_bits(0x3ff6_23fa_9511_98f8), f64::from_bits(0xbfdd_fdd9_1ab7_e000)),
    (f64::from_bits(0x3ff5_e75b_a4cf_026c), f64::from_bits(0xbfdc_ffae_0cc7_9000)),
    (f64::from_bits(0x3ff5_ac05_5a21_4fb8), f64::from_bits(0xbfdc_0438_11fd_a000)),
    (f64::from_bits(0x3ff5_71ed_0f16_6e1e), f64::from_bits(0xbfdb_0b67_323a_e000)),
    (f64::from_bits(0x3ff5_3909_590b_f835), f64::from_bits(0xbfda_152f_5a2d_b000)),
    (f64::from_bits(0x3ff5_014f_ed61_addd), f64::from_bits(0xbfd9_217f_5af8_6000)),
    (f64::from_bits(0x3ff4_cab8_8e48_7bd0), f64::from_bits(0xbfd8_304d_b071_9000)),
    (f64::from_bits(0x3ff4_9539_b433_4fee), f64::from_bits(0xbfd7_4189_f9a9_e000)),
    (f64::from_bits(0x3ff4_60cb_dfaf_d569), f64::from_bits(0xbfd6_552b_b519_9000)),
    (f64::from_bits(0x3ff4_2d66_4ee4_b953), f64::from_bits(0xbfd5_6b23_a29b_1000)),
    (f64::from_bits(0x3ff3_fb01_111d_d8a6), f64::from_bits(0xbfd4_8365_0f5f_a000)),
    (f64::from_bits(0x3ff3_c995_b70c_5836), f64::from_bits(0xbfd3_9de9_37f6_a000)),
    (f64::from_bits(0x3ff3_991c_4ab6_fd4a), f64::from_bits(0xbfd2_baa1_538d_6000)),
    (f64::from_bits(0x3ff3_698e_0ce0_99b5), f64::from_bits(0xbfd1_d983_40ca_4000)),
    (f64::from_bits(0x3ff3_3ae4_8213_e7b2), f64::from_bits(0xbfd0_fa85_3a40_e000)),
    (f64::from_bits(0x3ff3_0d19_1985_bdb1), f64::from_bits(0xbfd0_1d9c_32e7_3000)),
    (f64::from_bits(0x3ff2_e025_cab2_71d7), f64::from_bits(0xbfce_857d_a2fa_6000)),
    (f64::from_bits(0x3ff2_b404_cf13_cd82), f64::from_bits(0xbfcc_d3c8_633d_8000)),
    (f64::from_bits(0x3ff2_88b0_2c7c_cb50), f64::from_bits(0xbfcb_2603_4c14_a000)),
    (f64::from_bits(0x3ff2_5e22_6394_4de5), f64::from_bits(0xbfc9_7c1c_2f4f_e000)),
    (f64::from_bits(0x3ff2_3456_3d86_15b1), f64::from_bits(0xbfc7_d602_3f80_0000)),
    (f64::from_bits(0x3ff2_0b46_e33e_af38), f64::from_bits(0xbfc6_33a7_1a05_e000)),
    (f64::from_bits(0x3ff1_e2ee_fdcd_a3dd), f64::from_bits(0xbfc4_94f5_e957_0000)),
    (f64::from_bits(0x3ff1_bb4a_580b_3930), f64::from_bits(0xbfc2_f9e4_24e0_a000)),
    (f64::from_bits(0x3ff1_9453_847f_2200), f64::from_bits(0xbfc1_6259_5afd_c000)),
    (f64::from_bits(0x3ff1_6e06_c0d5_d73c), f64::from_bits(0xbfbf_9c9a_75bd_8000)),
    (f64::from_bits(0x3ff1_485f_47b7_e4c2), f64::from_bits(0xbfbc_7b57_5bf9_c000)),
    (f64::from_bits(0x3ff1_2358_ad00_85d1), f64::from_bits(0xbfb9_60c6_0ff4_8000)),
    (f64::from_bits(0x3ff0_fef0_0f53_2227), f64::from_bits(0xbfb6_4ce2_47b6_0000)),
    (f64::from_bits(0x3ff0_db20_77d0_3a8f), f64::from_bits(0xbfb3_3f78_b201_4000)),
    (f64::from_bits(0x3ff0_b7e6_d659_80d9), f64::from_bits(0xbfb0_387d_1a42_c000)),
    (f64::from_bits(0x3ff0_953e_fe7b_408d), f64::from_bits(0xbfaa_6f92_08b5_0000)),
    (f64::from_bits(0x3ff0_7325_cac5_3b83), f64::from_bits(0xbfa4_7a95_4f77_0000)),
    (f64::from_bits(0x3ff0_5197_e40d_1b5c), f64::from_bits(0xbf9d_23a8_c50c_0000)),
    (f64::from_bits(0x3ff0_3091_c120_8ea2), f64::from_bits(0xbf91_6a26_2978_0000)),
    (f64::from_bits(0x3ff0_1010_25b3_7e21), f64::from_bits(0xbf77_20f8_d8e8_0000)),
    (f64::from_bits(0x3fef_c07e_f9ca_a76b), f64::from_bits(0x3f86_fe53_b150_0000)),
    (f64::from_bits(0x3fef_4465_d3f6_f184), f64::from_bits(0x3fa1_1ccc_e10f_8000)),
    (f64::from_bits(0x3fee_cc07_9f84_107f), f64::from_bits(0x3fac_4dfc_8c8b_8000)),
    (f64::from_bits(0x3fee_573a_9997_5ae8), f64::from_bits(0x3fb3_aa32_1e57_4000)),
    (f64::from_bits(0x3fed_e5d6_f0bd_3de6), f64::from_bits(0x3fb9_18a0_d08b_8000)),
    (f64::from_bits(0x3fed_77b6_81ff_38b3), f64::from_bits(0x3fbe_72e9_da04_4000)),
    (f64::from_bits(0x3fed_0cb5_724d_e943), f64::from_bits(0x3fc1_dcd2_507f_6000)),
    (f64::from_bits(0x3fec_a4b2_dc0e_7563), f64::from_bits(0x3fc4_76ab_03de_a000)),
    (f64::from_bits(0x3fec_3f8e_e8d6_cb51), f64::from_bits(0x3fc7_0743_77e2_2000)),
    (f64::from_bits(0x3feb_dd2b_4f02_0c4c), f64::from_bits(0x3fc9_8ede_8ba9_4000)),
    (f64::from_bits(0x3feb_7d6c_0060_15ca), f64::from_bits(0x3fcc_0db8_6ad2_e000)),
    (f64::from_bits(0x3feb_2036_6e2e_338f), f64::from_bits(0x3fce_840a_afce_e000)),
    (f64::from_bits(0x3fea_c570_2629_5039), f64::from_bits(0x3fd0_790a_b467_8000)),
    (f64::from_bits(0x3fea_6d01_bc27_31dd), f64::from_bits(0x3fd1_ac05_6801_c000)),
    (f64::from_bits(0x3fea_16d3_bc3f_f18b), f64::from_bits(0x3fd2_db11_d4fe_e000)),
    (f64::from_bits(0x3fe9_c2d1_4967_fead), f64::from_bits(0x3fd4_0646_4ec5_8000)),
    (f64::from_bits(0x3fe9_70e4_f47c_9902), f64::from_bits(0x3fd5_2dbe_093a_f000)),
    (f64::from_bits(0x3fe9_20fb_3982_bcf2), f64::from_bits(0x3fd6_5190_2050_d000)),
    (f64::from_bits(0x3fe8_d301_87f7_59f1), f64::from_bits(0x3fd7_71d2_cdea_f000)),
    (f64::from_bits(0x3fe8_86e5_ebb9_f66d), f64::from_bits(0x3fd8_8e9c_857d_9000)),
    (f64::from_bits(0x3fe8_3c97_b658_b994), f64::from_bits(0x3fd9_a801_55e1_6000)),
    (f64::from_bits(0x3fe7_f405_ffc6_1022), f64::from_bits(0x3fda_be18_6ed3_d000)),
    (f64::from_bits(0x3fe7_ad22_1814_15ca), f64::from_bits(0x3fdb_d0f2_aea0_e000)),
    (f64::from_bits(0x3fe7_67dc_f99e_ff8c), f64::from_bits(0x3fdc_e0a4_3dbf_4000)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_are_the_functions() {
        let log2 = |x| log2(Portable, x);
        assert_eq!(log2(1.0), 0.0);
        assert_eq!(log2(0.0), f64::NEG_INFINITY);
        assert_eq!(log2(-0.0), f64::NEG_INFINITY);
        assert_eq!(log2(f64::INFINITY), f64::INFINITY);
        assert!(log2(-1.0).is_nan());
        assert!(log2(f64::NEG_INFINITY).is_nan());
        assert!(log2(f64::NAN).is_nan());
    }

    #[test]
    fn powers_of_two_are_exact_and_others_within_two_units_of_the_machines_own() {
        let mut checked = 0;
        for exponent in -1022..1024_i32 {
            let power = f64::from_bits(((exponent + 1023) as u64) << 52);
            assert_eq!(log2(Portable, power), f64::from(exponent));
            checked += 1;
        }
        for step in 1..20_000_u32 {
            for x in [f64::from(step) * 1.2e-4, f64::from(step) * 7.3, 1.0 + f64::from(step) * 1e-9]
            {
                let units = log2(Portable, x).to_bits().abs_diff(x.log2().to_bits());
                assert!(units <= 2, "{x:?}: {units} units apart");
                checked += 1;
            }
        }
        assert_eq!(checked, 2046 + 3 * 19_999);
    }
}
