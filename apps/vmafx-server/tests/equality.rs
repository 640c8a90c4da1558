//! One answer through every face: to the last bit that of a run in this process.

mod common;

use std::num::NonZeroU32;

use common::schema::check;
use common::stream::{self, Feed};
use common::{Running, asked};
use media::Stop;
use proto::score::{Score, Scored};
use proto::scoring as pb;
use scoring::{Progress, RunConfig, ScoreRequest};
use serde_json::{Value, json};
use testkit::ClipSpec;
use types::{
    ChromaSubsampling, FrameTable, JobSpec, MediaRef, ModelSpec, PixelFormat, PoolingMethod,
    RawGeometry, ScoreReport,
};

const FRAMES: u32 = 7;

/// The pair as the engine scores it in this process, on one thread.
fn here(spec: &JobSpec) -> ScoreReport {
    let request = ScoreRequest::from_job(spec, 0).expect("a pair");
    let media = media::MediaConfig::new(media::SourcePolicy::unrestricted_local());
    let config = RunConfig { threads: 1.try_into().expect("some"), ..RunConfig::new(media) };
    scoring::run(&request, &config, &Stop::never(), &Progress::new()).expect("scored")
}

fn bits(table: &FrameTable) -> Vec<(&str, u64, u64)> {
    let columns = table.columns.iter();
    columns
        .flat_map(|column| {
            let values = table.frame_indices.iter().zip(&column.values);
            values.map(|(frame, value)| (column.name.as_str(), *frame, value.to_bits()))
        })
        .collect()
}

fn same(found: &ScoreReport, expected: &ScoreReport) {
    assert_eq!(bits(&found.frames), bits(&expected.frames));
    assert_eq!(found.digest, expected.digest);
    assert_eq!((&found.models, &found.pooled), (&expected.models, &expected.pooled));
    assert_eq!((found.width, found.height), (expected.width, expected.height));
    assert_eq!(found.warnings, expected.warnings);
    assert_eq!(found.provenance.engine_version, expected.provenance.engine_version);
    assert_eq!(found.provenance.isa, expected.provenance.isa);
}

async fn over_grpc(running: &Running, score: &Score) -> Scored {
    let answer = running.grpc().await.score(pb::ScoreRequest::from(score.clone())).await;
    Scored::try_from(answer.expect("scored").into_inner()).expect("well formed")
}

async fn over_http(running: &Running, score: &Score) -> Value {
    let spec = &score.spec;
    let body = json!({
        "reference": spec.reference,
        "distorted": spec.distorted[0],
        "model": spec.model,
        "features": spec.features,
        "subsample_interval": spec.subsample_interval,
        "first_frame_index": spec.first_frame_index,
        "pooling": score.pooling,
        "frames": score.wants_frames,
    });
    let answer = running.http().post("/v1/score", &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_and_http_answer_with_the_bits_of_a_run_in_this_process() {
    let running = Running::start().await;
    let document = running.http().get("/openapi.json").await.json();
    let pair = ClipSpec::texture(5, 98, 66, FRAMES).with_format(ChromaSubsampling::C420, 10).make();
    let mut score = running.write(&pair, 1);
    score.spec.features = vec!["motion=motion_fps_weight=1.5".to_owned(), "vif".to_owned()];
    for (model, interval, first, pooling) in
        [("vmaf_v0.6.1", 1, 0, PoolingMethod::Mean), ("vmaf_v0.6.1neg", 2, 1, PoolingMethod::P5)]
    {
        score.spec.model = ModelSpec::version(model);
        score.spec.subsample_interval = NonZeroU32::new(interval).expect("some");
        score.spec.first_frame_index = first;
        score.pooling = pooling;
        let expected = here(&score.spec);
        let headline = expected.headline().expect("a model").pooled.by(pooling);
        let found = over_grpc(&running, &score).await;
        same(&found.report, &expected);
        assert_eq!(found.score().to_bits(), headline.to_bits());
        assert_eq!(found.frame_count, expected.frames.frame_count() as u64);

        let found = over_http(&running, &score).await;
        check(&document, "Scored", &found);
        assert_eq!(found["score"].as_f64().map(f64::to_bits), Some(headline.to_bits()));
        assert_eq!(found["digest"], json!(expected.digest));
        assert_eq!(found["models"][0]["sha256"], json!(expected.models[0].sha256));
        let read: Vec<types::Column> =
            serde_json::from_value(found["frames"]["columns"].clone()).expect("columns");
        let frame_indices =
            serde_json::from_value(found["frames"]["frame_indices"].clone()).expect("numbers");
        assert_eq!(bits(&FrameTable { frame_indices, columns: read }), bits(&expected.frames));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_gives_the_bits_of_files_in_every_chroma_mode_and_depth() {
    use ChromaSubsampling::{C400, C411, C420, C422, C444};
    let running = Running::start().await;
    let mut client = running.grpc().await;
    let mut streamed = 0;
    for chroma in [C400, C411, C420, C422, C444] {
        for bit_depth in [8, 9, 10, 12, 14, 16] {
            let format = PixelFormat { chroma, bit_depth };
            let spec = ClipSpec::texture(6, 51, 37, FRAMES).with_format(chroma, bit_depth);
            let pair = spec.make();
            let geometry = RawGeometry { width: 51, height: 37, format };
            let media = |name: &str, clip: &testkit::Clip| {
                std::fs::write(running.path(name), clip.raw_bytes()).expect("written");
                let uri = running.path(name).display().to_string();
                MediaRef { uri, raw: Some(geometry) }
            };
            let job = JobSpec::pair(media("a", &pair.reference), media("b", &pair.distorted));
            let expected = here(&job);
            let start = stream::start(51, 37, format);
            let (mut feed, started) = Feed::started(&mut client, start).await;
            for index in 0..FRAMES as usize {
                feed.send(stream::frame(&pair, index)).await;
            }
            feed.end();
            let (frames, aggregate) = feed.rest().await.expect("scored");
            let columns = started.columns.iter().enumerate().map(|(place, name)| types::Column {
                name: name.clone(),
                values: frames.iter().map(|frame| frame.values[place]).collect(),
            });
            let columns: Vec<_> = columns.collect();
            let frame_indices = frames.iter().map(|frame| frame.frame_index).collect();
            let scores = &columns.last().expect("the model's").values;
            assert!(frames.iter().zip(scores).all(|(frame, score)| frame.score == *score));
            let mut found = Scored::try_from(aggregate).expect("well formed").report;
            found.frames = FrameTable { frame_indices, columns };
            same(&found, &expected);
            assert_eq!(found.provenance.decoders, ["stream", "stream"]);
            streamed += 1;
        }
    }
    assert_eq!(streamed, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_says_what_made_it() {
    let running = Running::start().await;
    let pair = ClipSpec::texture(5, 64, 48, 5).make();
    let mut score = running.write(&pair, 1);
    // The distorted video is shorter: a warning.
    let short = pair.distorted.clone().truncated(3);
    std::fs::write(&score.spec.distorted[0].uri, short.y4m_bytes()).expect("written");
    score.wants_frames = false;
    let answer = over_http(&running, &score).await;
    assert!(answer.get("frames").is_none(), "{answer:#}");
    assert_eq!(answer["frame_count"], 3);
    assert_eq!(answer["warnings"][0]["code"], "length_mismatch");
    assert_eq!(answer["models"][0]["version"], "vmaf_v0.6.1");
    assert_eq!(answer["models"][0]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(answer["provenance"]["engine_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["provenance"]["decoders"], json!(["y4m", "y4m"]));
    assert_eq!(answer["digest"].as_str().map(str::len), Some(64));
    assert!(answer["timings"]["wall_us"].as_u64() > Some(0), "{answer:#}");
    assert_eq!(answer["trace_id"].as_str().map(str::len), Some(32), "{answer:#}");
    let found = over_grpc(&running, &asked(score.spec)).await;
    assert_eq!(found.report.warnings[0].code, "length_mismatch");
    assert!(found.trace_id.is_some());
}
