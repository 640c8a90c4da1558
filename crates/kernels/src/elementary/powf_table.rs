//! The constants of glibc's `powf`, which powers of single precision share.

/// For each 16th of a binade that starts at 0.69922 (0x3f33_0000): the reciprocal of a point in it and
/// the point's binary logarithm.
pub(crate) const POINTS: [(f64, f64); 16] = [
    (f64::from_bits(0x3ff6_61ec_79f8_f3be), f64::from_bits(0xbfde_fec6_5b96_3019)),
    (f64::from_bits(0x3ff5_71ed_4aaf_883d), f64::from_bits(0xbfdb_0b68_32d4_fca4)),
    (f64::from_bits(0x3ff4_9539_f0f0_10b0), f64::from_bits(0xbfd7_418b_0a1f_b77b)),
    (f64::from_bits(0x3ff3_c995_b0b8_0385), f64::from_bits(0xbfd3_9de9_1a6d_cf7b)),
    (f64::from_bits(0x3ff3_0d19_0c88_64a5), f64::from_bits(0xbfd0_1d9b_f3f2_b631)),
    (f64::from_bits(0x3ff2_5e22_7b0b_8ea0), f64::from_bits(0xbfc9_7c1d_1b3b_7af0)),
    (f64::from_bits(0x3ff1_bb4a_4a1a_343f), f64::from_bits(0xbfc2_f9e3_93af_3c9f)),
    (f64::from_bits(0x3ff1_2358_f08a_e5ba), f64::from_bits(0xbfb9_60cb_bf78_8d5c)),
    (f64::from_bits(0x3ff0_953f_4199_00a7), f64::from_bits(0xbfaa_6f9d_b647_5fce)),
    (f64::from_bits(0x3ff0_0000_0000_0000), f64::from_bits(0x0000_0000_0000_0000)),
    (f64::from_bits(0x3fee_608c_fd9a_47ac), f64::from_bits(0x3fb3_38ca_9f24_f53d)),
    (f64::from_bits(0x3fec_a4b3_1f02_6aa0), f64::from_bits(0x3fc4_76a9_5438_91ba)),
    (f64::from_bits(0x3feb_2036_576a_fce6), f64::from_bits(0x3fce_840b_4ac4_e4d2)),
    (f64::from_bits(0x3fe9_c2d1_63a1_aa2d), f64::from_bits(0x3fd4_0645_f0c6_651c)),
    (f64::from_bits(0x3fe8_86e6_0378_41ed), f64::from_bits(0x3fd8_8e9c_2c1b_9ff8)),
    (f64::from_bits(0x3fe7_67dc_f553_4862), f64::from_bits(0x3fdc_e0a4_4eb1_7bcc)),
];

/// Coefficients of `r^5` down to `r` of `log2(1 + r)`.
pub(crate) const LOG2: [f64; 5] = [
    f64::from_bits(0x3fd2_7616_c949_6e0b),
    f64::from_bits(0xbfd7_1969_a075_c67a),
    f64::from_bits(0x3fde_c70a_6ca7_badd),
    f64::from_bits(0xbfe7_1547_48be_f6c8),
    f64::from_bits(0x3ff7_1547_652a_b82b),
];

/// The bits of `2^(i / 32)` less `i << 47`.
pub(crate) const POWERS: [u64; 32] = [
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

/// Coefficients of `r^3` down to `r` of `2^r` for `|r| <= 1/64`.
pub(crate) const EXP2: [f64; 3] = [
    f64::from_bits(0x3fac_6af8_4b91_2394),
    f64::from_bits(0x3fce_bfce_50fa_c4f3),
    f64::from_bits(0x3fe6_2e42_ff0c_52d6),
];

/// Where the binade of the points begins, as bits.
pub(crate) const BINADE: u32 = 0x3f33_0000;
/// Added to a number it rounds it to a 32nd, which then lies in the low bits: 1.5 * 2^47.
pub(crate) const ROUND_TO_32ND: f64 = 211_106_232_532_992.0;
