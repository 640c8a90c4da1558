use super::*;

/// Arguments of `pow` with the bits that glibc 2.36 returned for them.
const POWERS: [(f64, f64, u64); 15] = [
    (0.999, 0.04479999840259552, 0x3fef_ffa2_00b0_79ef),
    (0.999, 0.2856000065803528, 0x3fef_fda8_d6dc_f317),
    (0.999, 0.13330000638961792, 0x3fef_fee8_5412_7152),
    (0.5, 0.04479999840259552, 0x3fef_0585_e60f_35bf),
    (0.5, 0.2856000065803528, 0x3fea_40b8_364f_812c),
    (0.5, 0.13330000638961792, 0x3fed_2d00_cf36_68c0),
    (0.123456789, 0.04479999840259552, 0x3fed_2328_7d78_2dbf),
    (0.123456789, 0.2856000065803528, 0x3fe1_9b67_c489_e9e4),
    (0.123456789, 0.13330000638961792, 0x3fe8_3688_5377_b919),
    (0.9886835, 0.04479999840259552, 0x3fef_fbd2_ff9a_3aac),
    (0.9886835, 0.2856000065803528, 0x3fef_e56a_7192_e986),
    (0.9886835, 0.13330000638961792, 0x3fef_f394_d814_eae5),
    (1e-7, 0.04479999840259552, 0x3fdf_164b_213f_1a95),
    (1e-7, 0.2856000065803528, 0x3f84_848b_cc3f_b294),
    (1e-7, 0.13330000638961792, 0x3fbd_dd0a_cc51_53f2),
];

#[test]
fn known_arguments_give_glibcs_bits() {
    for (x, y, bits) in POWERS {
        assert_eq!(pow(x, y).to_bits(), bits, "{x:?} to the power of {y:?}");
    }
}

#[test]
fn results_are_within_two_units_of_the_machines_own() {
    let mut checked = 0;
    for step in 1..60_000_i32 {
        let x = f64::from(step) * 1.7e-5;
        for y in [0.0448, 0.1333, 0.2363, 0.2856, 0.3001, 1.0] {
            let units = pow(x, y).to_bits().abs_diff(x.powf(y).to_bits());
            assert!(units <= 2, "{x:?} to the power of {y:?}: {units} units apart");
            checked += 1;
        }
    }
    assert_eq!(checked, 59_999 * 6);
}

#[test]
fn exact_powers_are_exact() {
    for (x, y, power) in
        [(4.0, 0.5, 2.0), (2.0, -3.0, 0.125), (10.0, 3.0, 1000.0), (0.25, 1.5, 0.125)]
    {
        assert_eq!(pow(x, y), power, "{x}^{y}");
    }
    assert_eq!(pow(0.0, 2.4), 0.0);
    assert_eq!(pow(1.0, 78.84375), 1.0);
}

#[test]
fn powers_of_transfer_functions_are_within_one_unit_of_the_machines_own() {
    let mut checked = 0;
    for step in 1..2_000_u32 {
        let x = f64::from(step) / 1_000.0;
        for y in [2.4, 1.0 / 2.4, 1.0 / 78.84375, 1.0 / 0.159_301_757_812_5, -1.7] {
            let units = pow(x, y).to_bits().abs_diff(x.powf(y).to_bits());
            assert!(units <= 1, "{x}^{y}: {units} units apart");
            checked += 1;
        }
    }
    assert_eq!(checked, 9_995);
}

#[test]
fn the_ends_of_the_ranges_are_the_functions() {
    assert_eq!(pow(0.0, 0.5), 0.0);
    assert_eq!(pow(1.0, 0.3), 1.0);
    assert!(pow(-0.25, 0.3).is_nan());
    assert!(pow(f64::NAN, 0.3).is_nan());
}
