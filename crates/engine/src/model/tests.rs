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

#[test]
fn builtin_files_are_those_that_were_published() {
    for (version, sha256) in [
        ("vmaf_v0.6.1", "5950d61fa1f861bd45d8149d80539ed9f3376cfc2495b8f0fa8e9f57cb131ee3"),
        ("vmaf_v0.6.1neg", "1fcda193aaa2a3136471b7516b3c5dc344546c05fcde2d58609f8c60a2387392"),
        ("vmaf_4k_v0.6.1", "73b187001309703c89d57cf58baab01660bd11e4ea6fac62bc064c5f5da6dac8"),
    ] {
        let model = Model::builtin(version).expect("it is built in");
        assert_eq!((model.version(), model.sha256()), (version, sha256));
        assert_eq!(model.name(), "vmaf");
    }
    assert_eq!(builtin_models().len(), 3);
    assert!(builtin_models().iter().all(|model| !model.description.is_empty()));
}

#[test]
fn the_licence_lies_beside_the_models() {
    let licence = include_bytes!("../../models/LICENSE");
    let sha256 = "a6fdb51d02b9dfe198e55534bb8047fe6d756eda117f4ff83de98f92c1952710";
    assert_eq!(lower_hex(&Sha256::digest(licence)), sha256);
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
        assert_eq!(piecewise_linear(&knots, x), y, "{x}");
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
    let cases: [(&str, Change); 8] = [
        ("feature Cambi_feature_cambi_score", |d| {
            d["feature_names"][0] = "Cambi_feature_cambi_score".into();
        }),
        ("feature VMAF_feature_adm2_score", |d| {
            d["feature_names"][0] = "VMAF_feature_adm2_score".into();
        }),
        ("model_type BOOTSTRAP_LIBSVMNUSVR", |d| d["model_type"] = "BOOTSTRAP_LIBSVMNUSVR".into()),
        ("norm_type zscore", |d| d["norm_type"] = "zscore".into()),
        ("chroma_correction_parameter", |d| d["chroma_correction_parameter"] = 120.into()),
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
    let collection = json!({ "0": file("vmaf_v0.6.1"), "1": file("vmaf_v0.6.1") }).to_string();
    let error = Model::parse("b.json", collection.as_bytes()).expect_err("not supported");
    assert_eq!(
        error.to_string(),
        "model b.json: a collection of bootstrapped models is not supported"
    );
}

#[test]
fn damaged_files_are_refused_and_say_where() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 13] = [
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
    let options = "vif_enhn_gain_limit=1.5".parse().expect("well formed");
    let model = Model::builtin("vmaf_v0.6.1neg").expect("it is built in");
    let model = model.with_feature_options("vif", &options);
    let limits: Vec<_> =
        model.features().iter().map(|f| f.options.get("vif_enhn_gain_limit")).collect();
    assert_eq!(limits, [None, None, Some("1.5"), Some("1.5"), Some("1.5"), Some("1.5")]);
}
