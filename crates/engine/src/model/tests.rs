//! What models say, refuse, and compute.

use serde_json::{Value, json};

use super::*;

fn file(version: &str) -> Value {
    let model = builtin_models().iter().find(|model| model.version == version);
    serde_json::from_slice(model.expect("it is built in").json).expect("it is JSON")
}

/// Reads `vmaf_v0.6.1` after `change` was made to its `model_dict`.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Model, ModelError> {
    let mut file = file("vmaf_v0.6.1");
    change(&mut file["model_dict"]);
    Model::parse("changed.json", file.to_string().as_bytes())
}

/// Features of a good, an ordinary and a bad frame.
const FRAMES: [[f64; 6]; 3] = [
    [1.0, 4.0, 0.99, 0.995, 0.998, 0.999],
    [0.92, 5.5, 0.43, 0.94, 0.97, 0.98],
    [0.45, 0.1, 0.05, 0.2, 0.3, 0.4],
];

/// The table of the folder's description, so that it and the files cannot drift apart.
fn published() -> Vec<(String, String)> {
    let rows =
        include_str!("../../models/README.md").lines().filter(|line| line.starts_with("| `"));
    let cell = |cell: &str| cell.trim_matches([' ', '`']).to_owned();
    rows.map(|row| row.split('|').collect::<Vec<_>>())
        .map(|cells| (cell(cells[1]), cell(cells[3])))
        .collect()
}

#[test]
fn builtin_files_are_those_that_were_published() {
    let published = published();
    let models = published.iter().filter_map(|(file, sha256)| {
        file.strip_suffix(".json").map(|version| (version.to_owned(), sha256.clone()))
    });
    let found = builtin_models().iter().map(|built| {
        let model = Model::builtin(built.version).expect("it is built in");
        assert_eq!((model.version(), model.name()), (built.version, "vmaf"));
        assert!(!built.description.is_empty());
        (built.version.to_owned(), model.sha256().to_owned())
    });
    assert_eq!(found.collect::<Vec<_>>(), models.collect::<Vec<_>>());
    assert_eq!(builtin_models().len(), 13);
    // Three from the table by hand, so that a table made from wrong files is not believed.
    for (version, sha256) in [
        ("vmaf_v0.6.1", "5950d61fa1f861bd45d8149d80539ed9f3376cfc2495b8f0fa8e9f57cb131ee3"),
        ("vmaf_b_v0.6.3", "34f620dbaff662fe7d33dd80326553c2cc3910e4135349ba4c367171d3a3cfbd"),
        ("vmaf_v1.0.16_3d0h", "e4cf8c147e1368b35497d772920bc92f98c1ad7853c1033d8a836947f427140e"),
    ] {
        assert_eq!(Model::builtin(version).expect("it is built in").sha256(), sha256);
    }
}

#[test]
fn the_licence_lies_beside_the_models() {
    let licence = include_bytes!("../../models/LICENSE");
    let sha256 = "a6fdb51d02b9dfe198e55534bb8047fe6d756eda117f4ff83de98f92c1952710";
    assert_eq!(lower_hex(&Sha256::digest(licence)), sha256);
    assert!(published().contains(&("LICENSE".to_owned(), sha256.to_owned())));
}

#[test]
fn an_unknown_version_is_told_which_there_are() {
    let error = Model::builtin("vmaf_v9").expect_err("there is none");
    let text = error.to_string();
    assert!(text.contains("vmaf_v9") && text.contains("vmaf_4k_v0.6.1"), "{text}");
}

#[test]
fn options_of_the_file_are_kept_as_libvmaf_keeps_them() {
    let model = Model::builtin("vmaf_v0.6.1neg").expect("it is built in");
    let options: Vec<_> = model.features().iter().map(|f| f.options.iter().next()).collect();
    assert_eq!(options[0], Some(("adm_enhn_gain_limit", "1")));
    assert_eq!(options[1], None);
    assert_eq!(options[5], Some(("vif_enhn_gain_limit", "1")));
}

#[test]
fn scores_are_clipped_unless_told_otherwise() {
    let model = Model::builtin("vmaf_v0.6.1").expect("it is built in");
    let free = model.clone().without_clip();
    let beyond: Vec<f64> = FRAMES.iter().map(|features| free.predict(features)).collect();
    assert!(beyond.iter().any(|score| !(0.0..=100.0).contains(score)), "{beyond:?}");
    for (features, score) in FRAMES.iter().zip(beyond) {
        assert_eq!(model.predict(features), score.clamp(0.0, 100.0));
    }
}

#[test]
fn the_transform_of_the_file_applies_only_when_asked_for() {
    let model = Model::builtin("vmaf_v0.6.1").expect("it is built in").without_clip();
    let phone = model.clone().with_transform();
    let (mut raised, mut kept) = (0, 0);
    for features in FRAMES {
        let y = model.predict(&features);
        let p = 1.706_746_92 + 1.726_438_44 * y + -0.007_053_05 * y * y;
        // `out_gte_in` keeps the transform from lowering a score.
        assert_eq!(phone.predict(&features), p.max(y));
        if p > y { raised += 1 } else { kept += 1 }
    }
    assert!(raised > 0 && kept > 0, "both branches ran: {raised}, {kept}");
    let plain = Model::builtin("vmaf_4k_v0.6.1").expect("it is built in");
    assert_eq!(plain.clone().with_transform(), plain, "there is nothing to enable");
}

#[test]
fn a_transform_that_the_file_enables_needs_no_asking() {
    let model = changed(|dict| {
        dict["score_transform"] = json!({ "enabled": true, "p0": 5.0 });
        dict["score_clip"] = Value::Null;
    });
    assert_eq!(model.expect("well formed").predict(&FRAMES[1]), 5.0);
}

#[test]
fn knots_map_scores_piece_by_piece() {
    let knots = [(0.0, 10.0), (50.0, 60.0), (70.0, 60.0), (100.0, 120.0)];
    for (x, y) in
        [(-10.0, 0.0), (0.0, 10.0), (25.0, 35.0), (60.0, 60.0), (85.0, 90.0), (110.0, 140.0)]
    {
        assert_eq!(mapping::piecewise_linear(&knots, x), y, "{x}");
    }
    let model = changed(|dict| {
        let knots = json!([[0, 7], [50, 7], [1000, 7]]);
        dict["score_transform"] = json!({ "enabled": true, "knots": knots, "out_lte_in": "true" });
    });
    assert_eq!(model.expect("well formed").predict(&FRAMES[1]), 7.0);
}

#[test]
fn without_normalization_features_enter_as_they_are() {
    let svm =
        "svm_type nu_svr\nkernel_type rbf\ngamma 1\nnr_class 2\ntotal_sv 1\nrho -3\nSV\n2 1:5\n";
    let model = changed(|dict| {
        *dict = json!({
            "model_type": "LIBSVMNUSVR",
            "norm_type": "none",
            "feature_names": ["VMAF_integer_feature_motion2_score"],
            "model": svm,
        });
    });
    assert_eq!(model.expect("well formed").predict(&[5.0]), 5.0);
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 5] = [
        ("model_type RANDOMFOREST", |d| d["model_type"] = "RANDOMFOREST".into()),
        ("norm_type zscore", |d| d["norm_type"] = "zscore".into()),
        ("score_transform p3", |d| d["score_transform"]["p3"] = 1.into()),
        ("svm_type c_svc", |d| {
            d["model"] = d["model"].as_str().map(|m| m.replacen("nu_svr", "c_svc", 1)).into();
        }),
        ("kernel_type linear", |d| {
            d["model"] = d["model"].as_str().map(|m| m.replacen("rbf", "linear", 1)).into();
        }),
    ];
    for (name, change) in cases {
        let source_name = "changed.json".to_owned();
        let refusal = ModelError::Unsupported { source_name, what: name.to_owned() };
        assert_eq!(changed(change), Err(refusal));
    }
}

/// Reads the first three members of `vmaf_b_v0.6.3` after `change` was made to them.
fn changed_collection(change: impl FnOnce(&mut Value)) -> Result<Model, ModelError> {
    let file = file("vmaf_b_v0.6.3");
    let mut members = json!({ "0": file["0"], "1": file["1"], "2": file["2"] });
    change(&mut members);
    Model::parse("b.json", members.to_string().as_bytes())
}

#[test]
fn a_collection_has_columns_for_members_and_statistics() {
    let model = Model::builtin("vmaf_b_v0.6.3").expect("it is built in").named("b");
    let names: Vec<_> = model.bootstrap_names().collect();
    assert_eq!(names.len(), 24);
    assert_eq!((names[0].as_str(), names[19].as_str()), ("b_0001", "b_0020"));
    assert_eq!(names[20..], ["b_bagging", "b_stddev", "b_ci_p95_lo", "b_ci_p95_hi"]);
    for features in FRAMES {
        let all = model.predict_all(&features);
        assert_eq!((all.len(), all[0]), (25, model.predict(&features)));
        let [mean, deviation, low, high] = all[21..] else { unreachable!("four statistics") };
        assert!(low <= mean && mean <= high, "{all:?}");
        let members = &all[1..21];
        let least = members.iter().copied().fold(f64::INFINITY, f64::min);
        let most = members.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(least <= low && high <= most && deviation <= most - least, "{all:?}");
    }
    let alone = Model::builtin("vmaf_v0.6.1").expect("it is built in");
    assert_eq!(alone.bootstrap_names().count(), 0);
    assert_eq!(alone.predict_all(&FRAMES[1]), [alone.predict(&FRAMES[1])]);
}

#[test]
fn members_score_as_if_each_were_alone() {
    let file = file("vmaf_b_v0.6.3");
    let together = Model::builtin("vmaf_b_v0.6.3").expect("it is built in").with_transform();
    for member in 0..21 {
        let json = file[member.to_string()].to_string();
        let alone = Model::parse("member.json", json.as_bytes()).expect("a model like any other");
        let alone = alone.with_transform();
        for features in FRAMES {
            let all = together.predict_all(&features);
            assert_eq!(all[member].to_bits(), alone.predict(&features).to_bits(), "{member}");
        }
    }
}

#[test]
fn statistics_leave_the_first_member_out() {
    let model = changed_collection(|members| members["0"]["model_dict"]["slopes"][0] = 1.into());
    let all = model.expect("well formed").without_clip().predict_all(&FRAMES[1]);
    let [score, first, second, mean, ..] = all[..] else { unreachable!("seven columns") };
    assert!((mean - (first + second) / 2.0).abs() < 1e-9 && (score - mean).abs() > 1.0, "{all:?}");
}

#[test]
fn collections_that_libvmaf_could_not_load_are_refused() {
    type Change = fn(&mut Value);
    let plain = json!("LIBSVMNUSVR");
    let cases: [(&str, Change); 5] = [
        ("2 to 128", |m| *m = json!({ "0": m["0"] })),
        ("1 is missing", |m| *m = json!({ "0": m["0"], "2": m["2"] })),
        ("2 is missing", |m| *m = json!({ "0": m["0"], "1": m["1"], "name": m["2"] })),
        ("different features", |m| {
            m["1"]["model_dict"]["feature_names"][1] = "VMAF_integer_feature_motion3_score".into();
        }),
        ("model_dict is missing", |m| m["2"] = json!({})),
    ];
    for (what, change) in cases {
        let error = changed_collection(change).expect_err(what).to_string();
        assert!(error.contains("b.json") && error.contains(what), "{what}: {error}");
    }
    let alone = changed_collection(|members| members["1"]["model_dict"]["model_type"] = plain);
    let error = alone.expect_err("its members are not bootstrapped").to_string();
    assert!(error.contains("not bootstrapped is not supported"), "{error}");
}

#[test]
fn the_models_of_generation_1_say_what_they_read_and_how() {
    for built in builtin_models().iter().filter(|built| built.version.contains("v1.0.16")) {
        let model = Model::builtin(built.version).expect("it is built in");
        let option = |name| model.features().iter().find_map(|f| f.options.get(name));
        assert_eq!(option("cambi_high_res_speedup"), Some("1080"));
        assert_eq!(option("cambi_vis_lum_threshold"), Some("0.06"));
        assert_eq!(option("speed_nn_floor"), Some("0.1"));
        assert_eq!(option("adm_csf_mode"), Some("2"));
        let is_hfr = built.version.contains("hfr");
        assert_eq!(option("motion_five_frame_window"), is_hfr.then_some("true"));
        assert_eq!(option("motion_moving_average"), is_hfr.then_some("true"));
        let prescale =
            match built.version.trim_start_matches("vmaf_v1.0.16_").trim_start_matches("hfr_") {
                "5d0h" => Some("0.6"),
                "3d0h_2160" => Some("0.5"),
                _ => None,
            };
        assert_eq!(option("speed_prescale"), prescale, "{}", built.version);
        assert_eq!(option("speed_prescale_method"), prescale.map(|_| "bilinear"));
        let top = if built.version.ends_with("3d0h_2160") { 110.0 } else { 100.0 };
        // Equal pictures without banding: the best that there is.
        let best = model.predict(&[0.0, 0.0, 1.0, 5.0]);
        assert!((top - 10.0..=top).contains(&best), "{best}");
        let [grey, coloured] = [0.0, 1e-3].map(|chroma| model.predict(&[0.5, chroma, 0.9, 2.0]));
        assert!(grey < coloured - 1.0, "{grey} {coloured}: grey counts as chroma 12 from luma 0.9");
        let same = model.predict(&[0.5, 120.0 * 0.1, 0.9, 2.0]);
        assert!((grey - same).abs() < 1e-6, "{grey} {same}");
    }
}

#[test]
fn damaged_files_are_refused_and_say_where() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 18] = [
        ("feature_names", |d| d["feature_names"] = json!([])),
        ("feature_names", |d| d["feature_names"][2] = json!(3)),
        ("slopes", |d| d["slopes"] = json!([1.0])),
        ("slopes", |d| d["slopes"][1] = "x".into()),
        ("intercepts", |d| d["intercepts"] = Value::Null),
        ("feature_opts_dicts", |d| d["feature_opts_dicts"] = json!([{}])),
        ("feature_opts_dicts", |d| d["feature_opts_dicts"] = json!([1, 1, 1, 1, 1, 1])),
        ("score_clip", |d| d["score_clip"] = json!([0.0])),
        ("score_clip", |d| d["score_clip"] = json!("0")),
        ("knot", |d| d["score_transform"]["knots"] = json!([[0, 0], [1]])),
        ("knots", |d| d["score_transform"]["knots"] = json!([[1, 0], [0, 1]])),
        ("out_gte_in", |d| d["score_transform"]["out_gte_in"] = json!(1)),
        ("model_type", |d| d["model_type"] = Value::Null),
        ("must not be zero", |d| d["chroma_correction_parameter"] = 0.into()),
        ("chroma_correction_parameter", |d| d["chroma_correction_parameter"] = Value::Null),
        ("one feature of adm3", |d| d["chroma_correction_parameter"] = 120.into()),
        ("one feature of speed_chroma", |d| {
            d["chroma_correction_parameter"] = 120.into();
            d["feature_names"][0] = "VMAF_integer_feature_adm3_score".into();
        }),
        ("one feature of adm3, and no second", |d| {
            d["chroma_correction_parameter"] = 120.into();
            d["feature_names"][0] = "VMAF_integer_feature_adm3_score".into();
            d["feature_names"][1] = "VMAF_integer_feature_adm3_score".into();
        }),
    ];
    for (what, change) in cases {
        let error = changed(change).expect_err(what);
        let text = error.to_string();
        assert!(matches!(error, ModelError::Malformed { .. }) && text.contains(what), "{text}");
    }
    for text in ["", "[]", "{}", "{\"model_dict\": 1}", "\u{0}", &"[".repeat(100_000)] {
        assert!(matches!(Model::parse("x", text.as_bytes()), Err(ModelError::Malformed { .. })));
    }
    let large = vec![b' '; MODEL_BYTES_MAX + 1];
    let error = Model::parse("x", &large).expect_err("too large");
    assert!(matches!(error, ModelError::TooLarge { bytes, .. } if bytes == large.len()));
}

#[test]
fn callers_options_replace_those_of_the_file_for_their_extractor_alone() {
    let model = Model::builtin("vmaf_v0.6.1neg").expect("it is built in");
    let model =
        model.with_feature_option("vif", "vif_enhn_gain_limit", "1.5").expect("it reads it");
    let limits: Vec<_> =
        model.features().iter().map(|f| f.options.get("vif_enhn_gain_limit")).collect();
    assert_eq!(limits, [None, None, Some("1.5"), Some("1.5"), Some("1.5"), Some("1.5")]);
    let error = model.with_feature_option("vfi", "vif_enhn_gain_limit", "1.5").expect_err("a slip");
    let text = error.to_string();
    assert!(text.contains("\"vfi\"") && text.contains("adm, motion, vif"), "{text}");
}
