//! What plans hold, share, name and refuse.

use types::{ChromaSubsampling, PixelFormat};

use super::*;
use crate::model::Model;
use crate::picture::{PictureSpec, PlanesWanted};

fn builtin(version: &str) -> Model {
    Model::builtin(version).expect("it is built in")
}

fn plan(
    models: &[(&str, &str)],
    requests: &[&str],
    outputs: OutputSet,
) -> Result<Plan, FeatureError> {
    let models = models.iter().map(|(name, version)| builtin(version).named(*name)).collect();
    let requests: Result<_, _> = requests.iter().map(|request| request.parse()).collect();
    Plan::new(models, &PlanOptions { requests: requests?, outputs, ..PlanOptions::default() })
}

fn columns(plan: &Plan) -> Vec<&str> {
    plan.column_names().collect()
}

#[test]
fn columns_have_libvmafs_names_and_order() {
    let plan = plan(&[("vmaf", "vmaf_v0.6.1")], &[], OutputSet::Full).expect("built");
    let expected = [
        "integer_adm2",
        "integer_aim",
        "integer_adm3",
        "integer_adm_scale0",
        "integer_adm_scale1",
        "integer_adm_scale2",
        "integer_adm_scale3",
        "VMAF_integer_feature_motion_sad_score",
        "integer_vif_scale0",
        "integer_vif_scale1",
        "integer_vif_scale2",
        "integer_vif_scale3",
        "integer_motion2",
        "integer_motion3",
        "vmaf",
    ];
    assert_eq!(columns(&plan), expected);
    let kinds: Vec<_> = plan.extractor_kinds().map(ExtractorKind::name).collect();
    assert_eq!(kinds, ["vif", "adm", "motion"]);
}

#[test]
fn options_enter_names_by_the_order_of_their_long_names() {
    let requests = [
        "adm=adm_norm_view_dist=6.0:adm_min_val=0.25:adm_csf_mode=0:adm_dlm_weight=0.70",
        "motion=motion_max_val=18:motion_fps_weight=1.00:motion_force_zero=true",
        "vif=vif_skip_scale0=true:vif_enhn_gain_limit=1.25",
    ];
    let plan = plan(&[], &requests, OutputSet::Full).expect("built");
    for name in [
        "integer_adm2_dlmw_0.7_min_0.25_nvd_6",
        "integer_adm_scale3_dlmw_0.7_min_0.25_nvd_6",
        "VMAF_integer_feature_motion_sad_score_force_0_mmxv_18",
        "integer_motion3_force_0_mmxv_18",
        "integer_vif_scale0_egl_1.25_ssclz",
    ] {
        assert!(columns(&plan).contains(&name), "{name} in {:?}", columns(&plan));
    }
    assert_eq!(plan.needs().references_before, 0, "motion that is forced to zero looks at nothing");
    assert_eq!(plan.halo(), Halo { left: 0, right: 0 });
}

#[test]
fn cambi_has_libvmafs_names_and_order() {
    let request = "cambi=cambi_vis_lum_threshold=0.06:cambi_max_val=17:cambi_high_res_speedup=1080";
    let v1 = plan(&[], &[request], OutputSet::Full).expect("built");
    assert_eq!(columns(&v1), ["cambi_hrs_1080_cmxv_17_vlt_0.06"]);
    let every = "cambi=cambi_eotf=pq:cambi_topk=0.5:enc_bitdepth=8:enc_height=540:enc_width=960:\
                 eotf=pq:full_ref=true:max_log_contrast=3:src_height=1080:src_width=1920:topk=0.25:\
                 tvi_threshold=0.02:window_size=63";
    let every = plan(&[], &[every], OutputSet::Full).expect("built");
    let name = "cambi_ceot_pq_ctpk_0.5_encbd_8_ench_540_encw_960_eotf_pq_mlc_3_srch_1080_srcw_1920\
                _topk_0.25_tvit_0.02_ws_63";
    assert_eq!(columns(&every), [name, "cambi_source", "cambi_full_reference"]);
}

#[test]
fn cambi_refuses_pictures_by_name() {
    let check = |request: &str, width, height, bit_depth| {
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth };
        let spec = PictureSpec { width, height, format, planes: PlanesWanted::Luma };
        let plan = plan(&[], &[request], OutputSet::Full).expect("built");
        plan.check_pictures(&spec).map_err(|error| error.to_string())
    };
    assert_eq!(check("cambi", 216, 64, 8), Ok(()));
    assert_eq!(check("vif", 64, 64, 8), Ok(()));
    for (request, width, height, part) in [
        ("cambi", 214, 214, "at least one side must be 216"),
        ("cambi=enc_width=200:enc_height=200", 576, 324, "at least one side must be 216"),
        ("cambi=window_size=127", 3840, 2160, "window_size"),
        ("cambi", 16, 4000, "too narrow"),
        ("cambi=src_width=640:src_height=200", 576, 324, "one is wider"),
    ] {
        let error = check(request, width, height, 8).expect_err(request);
        assert!(error.contains("cambi") && error.contains(part), "{request}: {error}");
    }
}

#[test]
fn errors_of_planes_have_libvmafs_names_and_order() {
    for (request, expected) in [
        ("psnr", &["psnr_y", "psnr_cb", "psnr_cr"][..]),
        ("psnr=enable_chroma=false:min_sse=0.5", &["psnr_y"]),
        ("psnr=enable_chroma=false:enable_mse=true", &["psnr_y", "mse_y"]),
        (
            "psnr=enable_mse=true:reduced_hbd_peak=true:enable_apsnr=false",
            &["psnr_y", "mse_y", "psnr_cb", "mse_cb", "psnr_cr", "mse_cr"],
        ),
        ("psnr_hvs", &["psnr_hvs_y", "psnr_hvs_cb", "psnr_hvs_cr", "psnr_hvs"]),
        ("ciede", &["ciede2000"]),
    ] {
        let plan = plan(&[], &[request], OutputSet::Needed).expect(request);
        assert_eq!(columns(&plan), expected, "{request}");
    }
}

#[test]
fn chroma_planes_are_wanted_where_an_extractor_looks_at_them() {
    let planes = |request| plan(&[], &[request], OutputSet::Needed).expect("built").needs().planes;
    for request in ["psnr", "psnr_hvs", "ciede"] {
        assert_eq!(planes(request), PlanesWanted::All, "{request}");
    }
    for request in ["psnr=enable_chroma=false", "vif"] {
        assert_eq!(planes(request), PlanesWanted::Luma, "{request}");
    }
}

#[test]
fn errors_of_planes_refuse_pictures_by_name() {
    let check = |request: &str, chroma, width, height, bit_depth| {
        let plan = plan(&[], &[request], OutputSet::Needed).expect(request);
        let format = PixelFormat { chroma, bit_depth };
        let spec = PictureSpec { width, height, format, planes: PlanesWanted::All };
        plan.check_pictures(&spec).map_err(|error| error.to_string())
    };
    use ChromaSubsampling::{C400, C411, C420, C422, C444};
    for chroma in [C420, C422, C444] {
        for request in ["psnr", "psnr_hvs", "ciede"] {
            assert_eq!(check(request, chroma, 16, 16, 12), Ok(()), "{request} {chroma}");
        }
    }
    assert_eq!(check("psnr=enable_chroma=false", C400, 16, 16, 8), Ok(()));
    assert_eq!(check("psnr", C420, 1, 1, 16), Ok(()));
    for (request, chroma, side, bit_depth, part) in [
        ("psnr", C400, 16, 8, "enable_chroma=false"),
        ("psnr_hvs", C400, 16, 8, "no chroma"),
        ("psnr_hvs", C444, 16, 16, "16 bits are more than 12"),
        ("psnr_hvs", C420, 14, 8, "a side of 7 samples are too small"),
        ("ciede", C400, 16, 8, "pictures of 400 are not taken"),
        ("ciede", C411, 16, 8, "pictures of 411 are not taken"),
    ] {
        let error = check(request, chroma, side, side, bit_depth).expect_err(request);
        assert!(error.contains(request) && error.contains(part), "{request}: {error}");
    }
}

#[test]
fn models_share_what_they_have_in_common() {
    let models = [("hd", "vmaf_v0.6.1"), ("neg", "vmaf_v0.6.1neg"), ("uhd", "vmaf_4k_v0.6.1")];
    let plan = plan(&models, &["vif"], OutputSet::Needed).expect("built");
    let identities: Vec<_> = plan.instances().iter().map(|i| i.extractor.identity()).collect();
    assert_eq!(identities, ["adm", "motion", "vif", "adm_egl_1", "vif_egl_1"]);
    assert_eq!(columns(&plan).len(), 5 + 3 + 4 + 5 + 4 + 3);
}

#[test]
fn aim_is_computed_only_where_it_is_wanted() {
    let vmaf = [("vmaf", "vmaf_v0.6.1")];
    for (requests, outputs, computed, has_column) in [
        (&[][..], OutputSet::Needed, false, false),
        (&[], OutputSet::Full, true, true),
        (&["adm"], OutputSet::Needed, true, true),
        (&["vif"], OutputSet::Needed, false, false),
    ] {
        let plan = plan(&vmaf, requests, outputs).expect("built");
        assert_eq!(plan.instances()[0].computes_asked(), computed, "{requests:?}");
        assert_eq!(columns(&plan).contains(&"integer_aim"), has_column, "{requests:?}");
    }
    let skipped = plan(&[], &["adm=adm_skip_aim=true"], OutputSet::Full).expect("built");
    assert!(!skipped.instances()[0].computes_asked());
    assert!(columns(&skipped).contains(&"integer_aim"), "libvmaf writes it as zero");
}

#[test]
fn a_shared_instance_gives_debug_outputs_when_anybody_asks() {
    let plan = plan(&[("vmaf", "vmaf_v0.6.1")], &["vif=debug=true"], OutputSet::Needed);
    let plan = plan.expect("built");
    assert_eq!(plan.instances().len(), 3);
    assert!(columns(&plan).contains(&"integer_vif_den_scale3"));
    assert!(!columns(&plan).contains(&"integer_adm_den"));
}

#[test]
fn subsampling_leaves_out_spatial_work() {
    let interval = 3.try_into().expect("not zero");
    let options = PlanOptions { subsample_interval: interval, ..PlanOptions::default() };
    let plan = Plan::new(vec![builtin("vmaf_v0.6.1")], &options).expect("built");
    let needed: Vec<u64> = (0..8).filter(|index| plan.needs_spatial(*index)).collect();
    assert_eq!(needed, [0, 3, 6]);
}

#[test]
fn fingerprints_tell_plans_apart_by_what_frames_hold() {
    let hd = [("vmaf", "vmaf_v0.6.1")];
    let of = |models: &[_], requests: &[_], outputs| {
        plan(models, requests, outputs).expect("built").fingerprint()
    };
    let plain = of(&hd, &[], OutputSet::Needed);
    assert_eq!(plain, of(&[("tv", "vmaf_4k_v0.6.1")], &[], OutputSet::Needed), "same features");
    assert_ne!(plain, of(&hd, &[], OutputSet::Full));
    assert_ne!(plain, of(&hd, &["vif=debug=true"], OutputSet::Needed));
    assert_ne!(plain, of(&[("vmaf", "vmaf_v0.6.1neg")], &[], OutputSet::Needed));
    let interval = 2.try_into().expect("not zero");
    let options = PlanOptions { subsample_interval: interval, ..PlanOptions::default() };
    let sparse = Plan::new(vec![builtin("vmaf_v0.6.1")], &options).expect("built");
    assert_ne!(plain, sparse.fingerprint());
}

#[test]
fn what_libvmaf_alone_has_is_nothing_that_is_built() {
    let kinds = ExtractorKind::ALL.map(ExtractorKind::name);
    assert!(kinds.iter().all(|name| unbuilt::extractor(name).is_none()));
    let float = unbuilt::of_feature("VMAF_feature_vif_scale0_score");
    assert!(float.contains("floating point"), "{float}");
    assert_eq!(unbuilt::of_feature("VMAF_integer_feature_vif_scale9_score"), "");
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (request, parts) in [
        ("ssimulacra2", &["ssimulacra2", "vif, adm, motion"][..]),
        ("cambi=enc_width=0", &["enc_width=0", "from 180 to 7680"]),
        ("cambi=cambi_eotf=PQ", &["cambi_eotf=PQ", "one of bt1886, pq"]),
        ("cambi=window_size=14", &["window_size=14", "from 15 to 127"]),
        ("cambi=hrs=1080", &["\"hrs\"", "cambi_high_res_speedup"]),
        ("float_vif", &["float_vif", "not built", "`vif`"]),
        ("float_moment", &["float_moment", "not built", "nothing"]),
        ("float_ansnr=debug=true", &["float_ansnr", "not built"]),
        ("null", &["null", "not built", "computes nothing"]),
        ("adm_cuda", &["adm_cuda", "not built", "`adm`"]),
        ("integer_adm", &["integer_adm"]),
        ("psnr=min_sse=-1", &["min_sse=-1", "a number of 0 or more"]),
        ("psnr=enable_chroma=maybe", &["enable_chroma=maybe", "true or false"]),
        ("psnr_hvs=enable_chroma=true", &["psnr_hvs", "\"enable_chroma\""]),
        ("ciede=debug=true", &["ciede", "\"debug\""]),
        ("vif=egl=1", &["vif", "\"egl\"", "vif_enhn_gain_limit"]),
        ("vif=vif_enhn_gain_limit=0.5", &["vif_enhn_gain_limit=0.5", "from 1 to 100"]),
        ("vif=vif_enhn_gain_limit=nan", &["vif_enhn_gain_limit=nan"]),
        ("vif=debug=yes", &["debug=yes", "true or false"]),
        ("adm=adm_ref_display_height=1080.5", &["adm_ref_display_height=1080.5", "whole"]),
        ("adm=adm_csf_mode=4", &["adm_csf_mode=4", "from 0 to 3"]),
        ("adm=adm_csf_mode=2:adm_norm_view_dist=4", &["adm_csf_mode 2", "adm_norm_view_dist 4"]),
        ("adm=adm_norm_view_dist=2", &["nearer"]),
        ("ssim", &["ssim", "not built", "`float_ssim`"]),
        ("float_ssim=scale=11", &["scale=11", "whole number from 0 to 10"]),
        ("float_ssim=scale=-1", &["scale=-1"]),
        ("float_ssim=enable_lcs=1", &["enable_lcs=1", "true or false"]),
        ("float_ms_ssim=scale=1", &["\"scale\"", "clip_db, enable_db, enable_lcs"]),
    ] {
        let error = plan(&[], &[request], OutputSet::Full).expect_err(request).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{request}: {error}");
    }
}

#[test]
fn requests_that_are_not_of_the_form_are_refused() {
    for text in ["", "=", "vif=x", "vif=x=1:y", "vif==1", "vif:debug=true"] {
        let error = text.parse::<FeatureRequest>().expect_err(text);
        assert_eq!(error, FeatureError::Syntax(text.to_owned()));
    }
    let request: FeatureRequest = "vif=vif_enhn_gain_limit=1.50:debug=true".parse().expect("form");
    assert_eq!(request.to_string(), "vif=debug=true:vif_enhn_gain_limit=1.5");
}

#[test]
fn scores_that_could_not_be_told_apart_are_refused() {
    let twice = [("a", "vmaf_v0.6.1"), ("a", "vmaf_4k_v0.6.1")];
    let error = plan(&twice, &[], OutputSet::Needed).expect_err("twice");
    assert_eq!(error, FeatureError::DuplicateModelName("a".to_owned()));
    let error = plan(&[("integer_adm2", "vmaf_v0.6.1")], &[], OutputSet::Needed);
    assert_eq!(error.err(), Some(FeatureError::DuplicateModelName("integer_adm2".to_owned())));
    for name in ["", "a b", "a\"b", "a<b", "a,b", "a|b", &"x".repeat(65)] {
        let error = plan(&[(name, "vmaf_v0.6.1")], &[], OutputSet::Needed).expect_err(name);
        assert!(matches!(error, FeatureError::ModelName(_)), "{name:?}: {error}");
    }
}

#[test]
fn nothing_and_too_much_are_refused() {
    assert_eq!(plan(&[], &[], OutputSet::Full), Err(FeatureError::Nothing));
    let many = vec!["vif"; REQUESTS_MAX + 1];
    let error = plan(&[], &many, OutputSet::Full).expect_err("too many");
    let expected = FeatureError::TooMany {
        what: "feature requests",
        given: REQUESTS_MAX + 1,
        max: REQUESTS_MAX,
    };
    assert_eq!(error, expected);
}

fn pictures(width: u32, height: u32, chroma: ChromaSubsampling) -> PictureSpec {
    let format = PixelFormat { chroma, bit_depth: 8 };
    PictureSpec { width, height, format, planes: PlanesWanted::All }
}

#[test]
fn speed_has_libvmafs_names_and_options_in_them() {
    let requests = [
        "speed_chroma=speed_weight_var_mode=5:speed_nn_floor=0.1:speed_sigma_nn=0.19:\
         speed_max_val=45:speed_prescale=0.6:speed_prescale_method=bilinear:speed_kernelscale=1.5",
        "speed_chroma=speed_prescale_method=nearest:speed_prescale=1",
        "speed_temporal=speed_use_ref_diff=true:speed_max_val=2",
    ];
    let plan = plan(&[], &requests, OutputSet::Full).expect("built");
    let long = "ks_1.5_mxv_45_nnf_0.1_ps_0.6_psm_bilinear_snn_0.19_wvm_5";
    let expected = [
        &format!("speed_chroma_u_{long}"),
        &format!("speed_chroma_v_{long}"),
        &format!("speed_chroma_uv_{long}"),
        "speed_chroma_u",
        "speed_chroma_v",
        "speed_chroma_uv",
        "speed_temporal_mxv_2_urd",
    ];
    assert_eq!(columns(&plan), expected);
    let needs = plan.needs();
    assert_eq!((needs.references_before, needs.distorted_before), (1, 1));
    assert_eq!(needs.planes, PlanesWanted::All);
    assert_eq!(plan.halo(), Halo { left: 1, right: 0 });
}

#[test]
fn speed_refuses_options_it_does_not_have_by_name() {
    for (request, part) in [
        ("speed_chroma=speed_prescale_method=area", "one of nearest, bilinear, bicubic, lanczos4"),
        ("speed_chroma=speed_weight_var_mode=7", "a whole number from 0 to 6"),
        ("speed_chroma=speed_sigma_nn=0", "a number from 0.1 to 2"),
        ("speed_chroma=speed_kernelscale=0.9", "speed_kernelscale is 0.9: expected one of 1, 0.5"),
        ("speed_chroma=speed_use_ref_diff=true", "no option"),
        ("speed_temporal=speed_weight_var_mode=1", "no option"),
        ("speed_temporal=speed_prescale=4.5", "a number from 0.1 to 4"),
        ("speed_temporal=speed_kernelscale=3.9", "speed_kernelscale is 3.9"),
    ] {
        let error = plan(&[], &[request], OutputSet::Full).expect_err(request);
        assert!(error.to_string().contains(part), "{request}: {error}");
    }
}

#[test]
fn speed_refuses_pictures_without_a_block_or_without_chroma() {
    use ChromaSubsampling::{C400, C420, C422, C444};
    let plan_of = |request: &str| plan(&[], &[request], OutputSet::Full).expect("built");
    let (chroma, temporal) = (plan_of("speed_chroma"), plan_of("speed_temporal"));
    let half = plan_of("speed_chroma=speed_prescale=0.5");
    for (plan, width, height, subsampling, taken) in [
        (&chroma, 160, 160, C420, true),
        (&chroma, 158, 160, C420, false),
        (&chroma, 160, 80, C422, true),
        (&chroma, 80, 80, C444, true),
        (&chroma, 80, 79, C444, false),
        (&chroma, 400, 400, C400, false),
        (&half, 320, 320, C420, true),
        (&half, 316, 320, C420, false),
        (&temporal, 80, 80, C400, true),
        (&temporal, 79, 80, C420, false),
    ] {
        let checked = plan.check_pictures(&pictures(width, height, subsampling));
        assert_eq!(checked.is_ok(), taken, "{width}x{height} {subsampling}: {checked:?}");
    }
    let error = chroma.check_pictures(&pictures(100, 400, C420)).expect_err("50 samples");
    assert!(error.to_string().contains("50x200 are too small for SpEED"), "{error}");
    let none = chroma.check_pictures(&pictures(400, 400, C400)).expect_err("no chroma");
    assert!(none.to_string().contains("speed_chroma: pictures without chroma"), "{none}");
}

#[test]
fn structural_similarity_has_libvmafs_names_and_options_leave_them_alone() {
    let plan = |requests: &[&str]| plan(&[], requests, OutputSet::Full).expect("built");
    assert_eq!(columns(&plan(&["float_ssim"])), ["float_ssim"]);
    let all = plan(&["float_ssim=enable_lcs=true:enable_db=true:clip_db=true:scale=2"]);
    assert_eq!(columns(&all), ["float_ssim", "float_ssim_l", "float_ssim_c", "float_ssim_s"]);
    assert_eq!(columns(&plan(&["float_ms_ssim=enable_db=true"])), ["float_ms_ssim"]);
    let all = plan(&["float_ms_ssim=enable_lcs=true"]);
    let parts = ["l", "c", "s"].into_iter();
    let parts = parts
        .flat_map(|part| (0..5).map(move |scale| format!("float_ms_ssim_{part}_scale{scale}")));
    let expected: Vec<_> = std::iter::once("float_ms_ssim".to_owned()).chain(parts).collect();
    assert_eq!(columns(&all), expected);
}

#[test]
fn similarity_asked_for_twice_with_other_options_is_refused() {
    let twice = ["float_ssim", "float_ssim=scale=1"];
    let error = plan(&[], &twice, OutputSet::Full).expect_err("one name for two values");
    assert_eq!(error, FeatureError::DuplicateColumn("float_ssim".to_owned()));
    plan(&[], &["float_ssim", "float_ssim=scale=0"], OutputSet::Full).expect("one and the same");
}

#[test]
fn pictures_too_small_for_an_extractor_are_refused_by_its_name() {
    let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };
    let spec = |width, height| PictureSpec { width, height, format, planes: PlanesWanted::Luma };
    for (request, refused, taken) in [
        ("float_ms_ssim", spec(175, 200), spec(176, 176)),
        ("float_ssim", spec(200, 10), spec(200, 11)),
        ("float_ssim=scale=10", spec(200, 100), spec(200, 110)),
    ] {
        let plan = plan(&[("vmaf", "vmaf_v0.6.1")], &[request], OutputSet::Full).expect("built");
        let error = plan.check_pictures(&refused).expect_err(request).to_string();
        let name = request.split('=').next().expect("never empty");
        assert!(error.contains(&format!("{name}: ")) && error.contains("too small"), "{error}");
        assert_eq!(plan.check_pictures(&taken), Ok(()), "{request}");
    }
}
