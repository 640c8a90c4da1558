//! Heat maps of `cambi`: libvmaf's bytes under libvmaf's names, however many threads write them, and
//! never for a request from elsewhere.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use media::{MediaConfig, SourcePolicy, Stop};
use scoring::{HeatMapRule, Progress, RunConfig, ScoreError, ScoreRequest, run, run_each, run_job};
use sha2::{Digest as _, Sha256};
use testkit::{ClipSpec, Content};
use types::{ChromaSubsampling, FailureKind, JobSpec, MediaRef};

/// What libvmaf 3.2.0 (git `f85a8536`, portable C path) writes for the clip below: `--feature
/// cambi=heatmaps_path=maps`, and the same with every second frame and a size of the encode.
const LIBVMAF: [(&str, &str); 5] = [
    (
        "cambi_heatmap_scale_0_320x240_16b.gray",
        "351a8054b23144894668c6a51d5dbba82f56523ef43cc45b6f4d7060a969c31a",
    ),
    (
        "cambi_heatmap_scale_1_160x120_16b.gray",
        "ea0787f65f73b0013d03b359490e3125211b28ad5c1502ffb1544c0ded4192f5",
    ),
    (
        "cambi_heatmap_scale_2_80x60_16b.gray",
        "bb918147fe10391b43adeba4bd21b9ef32e5bd6c5076c3517733a05ed6dd0569",
    ),
    (
        "cambi_heatmap_scale_3_40x30_16b.gray",
        "ff6698a6e831ffcf47af2fed388ffc262f319e72b26cd140929d1e19b1246ad4",
    ),
    (
        "cambi_heatmap_scale_4_20x15_16b.gray",
        "c81ca5eda5947c7826ad046fdbdc2a25a846b835a6c34c237cc8b3afbe9ec6cc",
    ),
];
const LIBVMAF_EVERY_SECOND: [(&str, &str); 5] = [
    (
        "cambi_heatmap_scale_0_300x201_16b.gray",
        "aca6ec5dd17f02730557f8538bb62519d6e62c3f9d3ed40a5748cb3d32f7f8d1",
    ),
    (
        "cambi_heatmap_scale_1_150x101_16b.gray",
        "e8c1714e269dbb8a228fc25f0d91b39fde66b4c38952265317775c38d288c735",
    ),
    (
        "cambi_heatmap_scale_2_75x51_16b.gray",
        "9cc971fbf8a16ae4db535098a29edbaaa80d310e9fd5c5ccfcda8ed0568c9064",
    ),
    (
        "cambi_heatmap_scale_3_38x26_16b.gray",
        "15057cd3611509c3d054b383cc099b9a7a8fc56a05a15d4abf6ba03b248e2038",
    ),
    (
        "cambi_heatmap_scale_4_19x13_16b.gray",
        "acfe44d1e14ab222d7c7c2f035a1f4a134f962d882e38f25ecb0d407f47122cf",
    ),
];

const FRAMES: u32 = 5;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("temporary folder"));
        let clip = ClipSpec::texture(21, 320, 240, FRAMES).showing(Content::Blocks);
        let pair = clip.with_format(ChromaSubsampling::C420, 8).make();
        fs::write(folder.path("reference.y4m"), pair.reference.y4m_bytes()).expect("written");
        fs::write(folder.path("distorted.y4m"), pair.distorted.y4m_bytes()).expect("written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn media(&self, name: &str) -> MediaRef {
        MediaRef::new(self.path(name).display().to_string())
    }

    /// Asks for maps in the folder `maps`, with these options beside.
    fn request(&self, options: &str) -> ScoreRequest {
        let maps = self.path("new/maps");
        let feature = format!("cambi=heatmaps_path={}{options}", maps.display());
        ScoreRequest {
            models: Vec::new(),
            features: vec![feature],
            heat_maps: HeatMapRule::Written,
            ..ScoreRequest::pair(self.media("reference.y4m"), self.media("distorted.y4m"))
        }
    }
}

fn config(threads: usize) -> RunConfig {
    let media = MediaConfig::new(SourcePolicy::unrestricted_local());
    RunConfig { threads: NonZeroUsize::new(threads).expect("some"), ..RunConfig::new(media) }
}

fn score(request: &ScoreRequest, threads: usize) -> Result<(), ScoreError> {
    run(request, &config(threads), &Stop::never(), &Progress::new()).map(drop)
}

/// Name and hash of every file, by name.
fn hashes(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("the folder was made");
    let mut files: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.expect("readable").path();
            let hash = Sha256::digest(fs::read(&path).expect("readable"));
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            (path.file_name().expect("a name").display().to_string(), hash)
        })
        .collect();
    files.sort();
    files
}

fn expected(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect()
}

#[test]
fn maps_are_libvmafs_bytes_whatever_the_number_of_threads() {
    for threads in [1, 2, 5] {
        let folder = Folder::new();
        let request = folder.request("");
        score(&request, threads).expect("scored");
        assert_eq!(hashes(&folder.path("new/maps")), expected(&LIBVMAF), "{threads} threads");
        // A second run begins anew.
        score(&request, threads).expect("scored");
        assert_eq!(hashes(&folder.path("new/maps")), expected(&LIBVMAF), "{threads} threads");
    }
}

#[test]
fn names_tell_the_size_of_the_encode_and_frames_left_out_stay_empty() {
    let folder = Folder::new();
    let request = folder.request(":enc_width=300:enc_height=201:full_ref=true");
    let request = ScoreRequest { subsample_interval: 2.try_into().expect("some"), ..request };
    score(&request, 3).expect("scored");
    assert_eq!(hashes(&folder.path("new/maps")), expected(&LIBVMAF_EVERY_SECOND));
}

#[test]
fn a_request_from_elsewhere_writes_nothing_and_is_told_so() {
    let folder = Folder::new();
    let asked = folder.request("");
    let job = JobSpec {
        features: asked.features.clone(),
        ..JobSpec::pair(asked.reference.clone(), asked.distorted.clone())
    };
    let model: types::ModelSpec =
        format!("vmaf_v1.0.16_3d0h:cambi.heatmaps_path={}", folder.path("new/maps").display())
            .parse()
            .expect("of the form");
    let by_model = JobSpec { model, features: Vec::new(), ..job.clone() };
    for job in [job, by_model] {
        let error = run_job(&job, &config(1), &Stop::never(), &Progress::new());
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), FailureKind::InvalidJob, "{error}");
        assert!(error.to_string().contains("heatmaps_path="), "{error}");
    }
    assert!(!folder.path("new").exists());
}

#[test]
fn maps_of_several_videos_are_refused() {
    let folder = Folder::new();
    let request = folder.request("");
    let others = [request.distorted.clone()];
    let error = run_each(&request, &others, &config(1), &Stop::never(), &Progress::new());
    assert!(matches!(error, Err(ScoreError::HeatMapsOfMany)), "{error:?}");
    let twice =
        [request.features[0].clone(), format!("{}:full_ref=true:topk=0.5", request.features[0])];
    let error = score(&ScoreRequest { features: twice.into(), ..request }, 1).expect_err("refused");
    assert_eq!(error.kind(), FailureKind::UnknownFeature);
    assert!(error.to_string().contains("one instance"), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_and_a_full_disk_are_told_with_their_path() {
    let folder = Folder::new();
    fs::write(folder.path("new"), "no folder").expect("written");
    let error = score(&folder.request(""), 2).expect_err("a file is in the way");
    assert!(error.to_string().contains("new/maps"), "{error}");
    assert!(matches!(error, ScoreError::HeatMap { .. }), "{error:?}");

    fs::remove_file(folder.path("new")).expect("removed");
    fs::create_dir_all(folder.path("new/maps")).expect("made");
    let full = folder.path("new/maps").join(LIBVMAF[2].0);
    std::os::unix::fs::symlink("/dev/full", &full).expect("linked");
    let error = score(&folder.request(""), 2).expect_err("the disk is full");
    assert_eq!(error.kind(), FailureKind::DiskFull, "{error}");
    assert!(error.to_failure().message.contains(LIBVMAF[2].0), "{error}");
}
