//! The tools with the engine inside, seen by a client of the SDK.

mod support;

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use observability::Telemetry;
use rmcp::model::{
    ArgumentInfo, CallToolRequestParams, CancelTaskParams, CancelTaskRequest, ClientRequest,
    CompleteRequestParams, GetPromptRequestParams, GetTaskParams, GetTaskRequest, UpdateTaskParams,
    UpdateTaskRequest,
};
use scoring::{Progress, RunConfig, ScoreRequest};
use serde_json::{Value, json};
use support::{Agent, PATIENCE, Told, Videos, config, ffmpeg};
use testkit::{ClipSpec, Content};
use types::{ChromaSubsampling, MediaRef};

#[tokio::test]
async fn tools_are_listed_with_schemas_and_the_server_says_who_it_is() {
    let agent = Agent::alone(&Videos::new()).await;
    let tools = agent.client.list_all_tools().await.expect("a list");
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    for name in ["check_pair", "score", "submit_job", "worst_frames", "cluster_status"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.len() <= 12 && names.is_sorted(), "{names:?}");
    assert!(tools.iter().all(|tool| tool.output_schema.is_some() && tool.annotations.is_some()));
    let cancel = tools.iter().find(|tool| tool.name == "cancel_job").expect("listed");
    assert_eq!(cancel.annotations.as_ref().and_then(|a| a.destructive_hint), Some(true));
}

#[tokio::test]
async fn a_pair_gets_the_score_of_the_engine_to_the_last_digit_and_its_frames_are_paged() {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(12);
    let agent = Agent::alone(&videos).await;
    let job = agent.score(&reference, &distorted).await;

    let request = ScoreRequest::pair(MediaRef::new(&*reference), MediaRef::new(&*distorted));
    let run = RunConfig::new(media::MediaConfig::new(media::SourcePolicy::unrestricted_local()));
    let report = scoring::run(&request, &run, &media::Stop::never(), &Progress::new());
    let report = report.expect("a score");
    let model = report.headline().expect("a model");
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["score"].as_f64(), Some(model.pooled.mean));
    let result = &job["results"][0];
    assert_eq!(result["digest"], report.digest);
    assert_eq!(result["models"][0]["sha256"], model.sha256);
    assert_eq!(result["models"][0]["pooled"]["p5"].as_f64(), Some(model.pooled.p5));
    assert!(result.get("frames").is_none(), "per-frame values are never inlined");

    let column = report.frames.column("vmaf").expect("scores");
    let (mut seen, mut next) = (
        Vec::new(),
        result["frames_uri"].as_str().map(|uri| format!("{uri}&count=5&columns=vmaf")),
    );
    while let Some(uri) = next {
        let page = agent.read(&uri).await;
        assert_eq!(page["columns"], json!(["frame_index", "vmaf"]));
        for row in page["rows"].as_array().expect("rows") {
            assert_eq!(row[0].as_u64(), Some(seen.len() as u64));
            seen.push(row[1].as_f64().expect("a score"));
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, column.values);
    let again = agent.read(job["uri"].as_str().expect("a URI")).await;
    assert_eq!(again["score"], job["score"]);
}

#[tokio::test]
async fn refusals_are_results_that_say_what_to_do() {
    let videos = Videos::new();
    let (reference, _) = videos.pair(3);
    let small = ClipSpec::texture(1, 64, 48, 3).make();
    let deep = ClipSpec::texture(1, 160, 96, 3).with_format(ChromaSubsampling::C420, 10).make();
    let small = videos.write("small.y4m", &small.distorted);
    let deep = videos.write("deep.y4m", &deep.distorted);
    let agent = Agent::alone(&videos).await;
    let score = |distorted: &str| json!({"reference": reference, "distorted": distorted});
    for (arguments, kind, way_out) in [
        (score("/etc/passwd"), "source_refused", "--source-root"),
        (score("https://elsewhere.example/a.mp4"), "source_refused", "--source-host"),
        (score(&small), "size_mismatch", "scale=WIDTH:HEIGHT"),
        (score(&deep), "depth_mismatch", "pix_fmt"),
        (score(&format!("{reference}.gone")), "not_found", "Check the path"),
        (json!({"reference": reference}), "invalid_argument", "inputSchema"),
        (
            json!({"reference": reference, "distorted": small, "colour": 1}),
            "invalid_argument",
            "colour",
        ),
    ] {
        let text = agent.refused("score", arguments).await;
        assert!(text.starts_with(&format!("{kind}: ")), "{kind}: {text}");
        assert!(text.contains(way_out) && text.contains("What to do: "), "{kind}: {text}");
    }
    let key = json!({"reference": reference, "distorted": [reference], "idempotency_key": "k".repeat(256)});
    assert!(agent.refused("submit_job", key).await.contains("at most 255"));
    let text = agent.refused("get_job", json!({"job_id": "nonsense"})).await;
    assert!(text.contains("list_jobs"), "{text}");
    let model = json!({"reference": reference, "distorted": reference, "model": "vmaf_v9"});
    assert!(agent.refused("score", model).await.starts_with("unknown_model"));
    let unknown = CallToolRequestParams::new("no_such_tool");
    assert!(agent.client.call_tool(unknown).await.is_err(), "an unknown tool is a protocol error");
}

#[tokio::test]
async fn a_late_video_is_found_late_and_an_aligned_one_aligned() {
    let videos = Videos::new();
    let pair = ClipSpec::texture(3, 160, 96, 40).make();
    let reference = videos.write("reference.y4m", &pair.reference.clone().truncated(36));
    let aligned = videos.write("aligned.y4m", &pair.distorted.clone().truncated(36));
    // A frame of header, then the frames; the distorted video begins two frames further on.
    let bytes = pair.distorted.y4m_bytes();
    let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    let frame = (bytes.len() - header) / 40;
    let early = [&bytes[..header], &bytes[header + 2 * frame..]].concat();
    let early_path = videos.path().join("early.y4m");
    std::fs::write(&early_path, early).expect("written");
    let agent = Agent::alone(&videos).await;

    let check = json!({"reference": reference, "distorted": aligned});
    let found = agent.call("check_pair", check).await;
    assert_eq!(found["verdict"], "valid", "{found}");
    assert_eq!(found["alignment"]["offset_frames"], 0);
    assert_eq!(found["reference"]["frame_count"], 36);

    let check = json!({"reference": reference, "distorted": early_path.display().to_string()});
    let found = agent.call("check_pair", check).await;
    assert_eq!(found["verdict"], "invalid", "{found}");
    assert_eq!(found["alignment"]["offset_frames"], -2, "{found}");
    assert!(found["alignment"]["confidence"].as_f64() > Some(0.5), "{found}");
    let finding = found["findings"].as_array().expect("findings");
    let finding = finding.iter().find(|f| f["code"] == "temporal_offset").expect("named");
    assert!(finding["message"].as_str().expect("text").contains("2 frames early"), "{finding}");
    assert!(finding["fix"].as_str().expect("text").contains("--frame_skip_ref 2"), "{finding}");
}

#[tokio::test]
async fn a_pair_of_two_shapes_is_invalid_and_still_compared() {
    let videos = Videos::new();
    let (reference, _) = videos.pair(20);
    let noise = ClipSpec::texture(9, 96, 96, 20).showing(Content::Noise).make();
    let other = videos.write("other.y4m", &noise.distorted);
    let agent = Agent::alone(&videos).await;
    let check = json!({"reference": reference, "distorted": other});
    let found = agent.call("check_pair", check).await;
    assert_eq!(found["verdict"], "invalid");
    assert_eq!(found["findings"][0]["code"], "size_mismatch");
    assert!(found["alignment"].is_object());
}

#[tokio::test]
async fn the_worst_frames_are_shown_as_images() {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(30);
    let agent = Agent::alone(&videos).await;
    let job = agent.score(&reference, &distorted).await;
    let arguments = json!({"job_id": job["job_id"], "count": 2, "frame_gap": 8, "image_side": 64});
    let result = agent.try_call("worst_frames", arguments).await;
    let value = result.structured_content.clone().expect("structured content");
    let frames = value["frames"].as_array().expect("frames");
    assert_eq!(frames.len(), 2);
    let index = |at: usize| frames[at]["frame_index"].as_u64().expect("a number");
    assert!(index(0).abs_diff(index(1)) >= 8);
    let page = agent.read(frames[0]["frames_uri"].as_str().expect("a URI")).await;
    let worst = page["rows"].as_array().expect("rows").iter().find(|r| r[0] == index(0));
    let vmaf = page["columns"].as_array().expect("columns").iter().position(|c| c == "vmaf");
    assert_eq!(worst.expect("on its page")[vmaf.expect("a column")], frames[0]["score"]);
    let images: Vec<_> = result.content.iter().filter_map(|block| block.as_image()).collect();
    assert_eq!(images.len(), 6, "reference, distorted and difference of each");
    assert!(images.iter().all(|image| image.mime_type == "image/png"));
    assert_ne!(images[0].data, images[1].data);
    let without = json!({"job_id": job["job_id"], "images": false});
    assert_eq!(agent.try_call("worst_frames", without).await.content.len(), 1);
}

#[tokio::test]
async fn two_results_are_compared_frame_by_frame_and_models_are_not_mixed() {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(30);
    let agent = Agent::alone(&videos).await;
    let worse = agent.score(&reference, &distorted).await;
    let better = agent.score(&reference, &reference).await;
    let compare = |a: &Value, b: &Value| json!({"baseline_job_id": a["job_id"], "candidate_job_id": b["job_id"]});
    let found = agent.call("compare_results", compare(&worse, &better)).await;
    assert_eq!(found["verdict"], "better", "{found}");
    assert_eq!(found["per_frame"]["frame_count"], 30);
    let mean = &found["statistics"][0];
    let difference =
        better["score"].as_f64().expect("a score") - worse["score"].as_f64().expect("a score");
    assert_eq!(mean["difference"].as_f64(), Some(difference));
    let same = agent.call("compare_results", compare(&worse, &worse)).await;
    assert_eq!(same["verdict"], "indistinguishable");
    assert!(same["warnings"][0].as_str().expect("text").contains("bit for bit"));

    let neg = agent
        .call(
            "score",
            json!({"reference": reference, "distorted": distorted, "model": "vmaf_v0.6.1neg"}),
        )
        .await;
    let text = agent.refused("compare_results", compare(&worse, &neg)).await;
    assert!(text.starts_with("fingerprint_mismatch"), "{text}");
}

#[tokio::test]
async fn a_long_score_hands_back_a_job_whose_progress_is_told_and_which_can_be_cancelled() {
    let videos = Videos::new();
    let pair = ClipSpec::texture(7, 640, 368, 24).make();
    let (reference, distorted) = long(&videos, &pair, 40);
    let agent = Agent::alone(&videos).await;
    let job = agent
        .call("score", json!({"reference": reference, "distorted": distorted, "wait_seconds": 0}))
        .await;
    assert!(job["state"] == "queued" || job["state"] == "running", "{job}");
    assert!(job["next"].as_str().expect("text").contains("get_job"));
    let id = job["job_id"].clone();

    agent.call("get_job", json!({"job_id": id, "wait_seconds": 4})).await;
    // The client gives each of its calls a token of its own.
    let told = agent.client.service().progress.lock().expect("no panic").clone();
    let last = told.last().expect("progress is told").progress_token.clone();
    let told: Vec<_> = told.into_iter().filter(|told| told.progress_token == last).collect();
    assert!(told.windows(2).all(|pair| pair[0].progress < pair[1].progress), "{told:?}");
    assert!(told.iter().any(|told| told.total == Some(24.0 * 40.0)), "{told:?}");

    let answer = agent.call("cancel_job", json!({"job_id": id})).await;
    assert_eq!(answer["state"], "cancelled");
    assert_eq!(agent.call("cancel_job", json!({"job_id": id})).await["changed"], false);
    assert_eq!(agent.call("get_job", json!({"job_id": id})).await["state"], "cancelled");
}

#[tokio::test]
async fn a_score_that_is_no_longer_waited_for_is_cancelled() {
    let videos = Videos::new();
    let pair = ClipSpec::texture(7, 640, 368, 24).make();
    let (reference, distorted) = long(&videos, &pair, 60);
    let agent = Agent::alone(&videos).await;
    let arguments = json!({"reference": reference, "distorted": distorted, "wait_seconds": 100});
    let request = CallToolRequestParams::new("score")
        .with_arguments(arguments.as_object().cloned().expect("an object"));
    // The client leaves: it tells the server so.
    let left = tokio::time::timeout(Duration::from_secs(1), agent.client.call_tool(request)).await;
    assert!(left.is_err(), "it takes longer");
    let began = std::time::Instant::now();
    loop {
        let list = agent.call("list_jobs", json!({"states": ["cancelled"]})).await;
        if list["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the job goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The slot is free again at once: another job runs to its end.
    let (reference, distorted) = videos.pair(3);
    assert_eq!(agent.score(&reference, &distorted).await["state"], "succeeded");
}

#[tokio::test]
async fn a_client_that_knows_tasks_is_given_one_where_it_takes_long() {
    let videos = Videos::new();
    let pair = ClipSpec::texture(7, 640, 368, 24).make();
    let (reference, distorted) = long(&videos, &pair, 60);
    let told = Told { knows_tasks: true, ..Told::default() };
    let config = config(&videos, &["--ffmpeg", &ffmpeg()]);
    let agent = Agent::connect(&config, &Telemetry::disabled(), told).await;
    let arguments = json!({"reference": reference, "distorted": distorted});
    let id = begin(&agent, "score", arguments).await;
    // The task is the job: its handle works in every tool.
    let job = agent.call("get_job", json!({"job_id": id})).await;
    assert_eq!(job["state"], "running");
    let task = task_get(&agent, &id).await;
    assert_eq!((&task["status"], &task["taskId"]), (&json!("working"), &json!(id)));
    assert!(
        task["statusMessage"].as_str().is_some_and(|text| text.contains("1440 frames")),
        "{task}"
    );
    let nothing = UpdateTaskParams::new(&id, serde_json::from_value(json!({})).expect("none"));
    let update = ClientRequest::UpdateTaskRequest(UpdateTaskRequest::new(nothing));
    agent.client.send_request(update).await.expect("ignored");
    let cancel =
        ClientRequest::CancelTaskRequest(CancelTaskRequest::new(CancelTaskParams::new(&id)));
    agent.client.send_request(cancel).await.expect("cancelled");
    assert_eq!(task_get(&agent, &id).await["status"], "cancelled");
    assert_eq!(agent.call("get_job", json!({"job_id": id})).await["state"], "cancelled");
    // What has ended is the result that the tool would have given.
    let (short, other) = videos.pair(3);
    let submitted =
        agent.call("submit_job", json!({"reference": short, "distorted": [other]})).await;
    let id = submitted["job_id"].as_str().expect("a handle");
    let job = agent.call("get_job", json!({"job_id": id, "wait_seconds": 60})).await;
    let task = task_get(&agent, id).await;
    assert_eq!(task["status"], "completed", "{task}");
    assert_eq!(task["result"]["structuredContent"], job);
    let submitted =
        agent.call("submit_job", json!({"reference": short, "distorted": ["/etc/passwd"]})).await;
    let id = submitted["job_id"].as_str().expect("a handle");
    agent.try_call("get_job", json!({"job_id": id, "wait_seconds": 60})).await;
    let task = task_get(&agent, id).await;
    assert_eq!((&task["status"], &task["result"]["isError"]), (&json!("completed"), &json!(true)));
    assert!(task["result"].to_string().contains("source_refused"), "{task}");
    let unknown = GetTaskParams::new("01a218bc-7f9b-7169-ad5c-ee44ec1fc461");
    let unknown = ClientRequest::GetTaskRequest(GetTaskRequest::new(unknown));
    assert!(agent.client.send_request(unknown).await.is_err(), "no task has this id");
    let task = begin(&agent, "tune", json!({"source": reference, "target": 90})).await;
    let answer = agent.call("cancel_job", json!({"job_id": task})).await;
    assert_eq!((&answer["state"], &answer["changed"]), (&json!("cancelled"), &json!(true)));
    // A short one answers at once.
    let (reference, distorted) = videos.pair(3);
    assert_eq!(agent.score(&reference, &distorted).await["state"], "succeeded");
}

#[tokio::test]
async fn prompts_resources_and_completions_know_jobs_and_models() {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(3);
    let agent = Agent::alone(&videos).await;
    let job = agent.score(&reference, &distorted).await;
    let id = job["job_id"].as_str().expect("an id");
    let complete = async |name: &str, begun: &str| {
        let prompt = rmcp::model::Reference::for_prompt("diagnose_low_score");
        let request = CompleteRequestParams::new(prompt, ArgumentInfo::new(name, begun));
        agent.client.complete(request).await.expect("an answer").completion.values
    };
    assert_eq!(complete("job_id", &id[..4]).await, [id]);
    assert_eq!(complete("model", "vmaf_4k").await, ["vmaf_4k_v0.6.1", "vmaf_4k_v0.6.1neg"]);
    let mut request = GetPromptRequestParams::new("diagnose_low_score");
    request.arguments = json!({"job_id": id}).as_object().cloned();
    let prompt = agent.client.get_prompt(request).await.expect("a prompt");
    assert!(format!("{:?}", prompt.messages).contains(id));
    let models = agent.read("vmafx://models").await;
    assert_eq!(models["models"][0]["version"], "vmaf_v0.6.1");
    let gone = rmcp::model::ReadResourceRequestParams::new("vmafx://jobs/nonsense");
    assert!(agent.client.read_resource(gone).await.is_err());
    let recommended = agent.call("recommend_model", json!({"view": "4k_tv"})).await;
    assert_eq!(recommended["model"], "vmaf_v1.0.16_1d5h_2160");
    let status = agent.call("cluster_status", json!({})).await;
    assert_eq!((&status["mode"], &status["slots"]), (&json!("alone"), &json!(1)));
}

#[tokio::test]
async fn a_file_is_tuned_to_its_target_and_the_same_question_finds_the_same_run() {
    let videos = Videos::new();
    let (source, _) = videos.pair(30);
    let made = videos.path().join("made");
    std::fs::create_dir(&made).expect("a folder");
    let root = made.display().to_string();
    let config = config(&videos, &["--ffmpeg", &ffmpeg(), "--output-root", &root]);
    let agent = Agent::connect(&config, &Telemetry::disabled(), Told::default()).await;

    let question =
        json!({"source": source, "target": 85, "output": "film.mkv", "wait_seconds": 60});
    let run = agent.call("tune", question.clone()).await;
    assert_eq!((&run["state"], &run["tune"]["standing"]), (&json!("succeeded"), &json!("met")));
    let file = &run["tune"]["file"];
    assert!(run["score"].as_f64() >= Some(85.0), "{run}");
    let path = made.join("film.mkv").display().to_string();
    assert_eq!(file["path"], path);
    // What is reported of the file is what the engine says of it.
    let scored = agent.score(&source, &path).await;
    assert_eq!(scored["score"], file["pooled"]["mean"]);
    assert_eq!(std::fs::metadata(&path).expect("there").len(), file["bytes"]);

    assert_eq!(agent.call("tune", question).await["job_id"], run["job_id"]);
    let seen = agent.call("get_job", json!({"job_id": run["job_id"]})).await;
    assert_eq!(seen["tune"], run["tune"]);
    let seen = agent.read(run["uri"].as_str().expect("a URI")).await;
    assert_eq!(seen["tune"], run["tune"]);
    let taken = json!({"source": source, "target": 80, "output": "film.mkv"});
    let text = agent.refused("tune", taken).await;
    assert!(text.contains("is taken"), "{text}");
    let frames = agent.refused("worst_frames", json!({"job_id": run["job_id"]})).await;
    assert!(frames.contains("keeps no frames"), "{frames}");
    let outside = agent.refused("tune", json!({"source": "/etc/passwd", "target": 90})).await;
    assert!(outside.starts_with("source_refused"), "{outside}");
}

#[tokio::test]
async fn a_finished_file_is_found_again_by_a_server_that_was_started_anew() {
    let videos = Videos::new();
    let (source, _) = videos.pair(30);
    let (made, journal) = (videos.path().join("made"), videos.path().join("journal"));
    std::fs::create_dir(&made).expect("a folder");
    let folders = [&made, &journal].map(|folder| folder.display().to_string());
    let ffmpeg = ffmpeg();
    let flags =
        ["--ffmpeg", &ffmpeg, "--output-root", &folders[0], "--tune-journal-dir", &folders[1]];
    let config = config(&videos, &flags);
    let telemetry = Telemetry::disabled();
    let start = || Agent::connect(&config, &telemetry, Told::default());
    let asked = |target: u32| json!({"source": source, "target": target, "output": "film.mkv", "wait_seconds": 60});
    let first = start().await.call("tune", asked(85)).await;
    assert_eq!(first["tune"]["standing"], "met", "{first}");
    let path = made.join("film.mkv");
    let written = || {
        let file = std::fs::metadata(&path).expect("there");
        (file.len(), file.modified().expect("a time"), file.ino())
    };
    let before = written();

    // Another process, which knows nothing but what is on the disk.
    let agent = start().await;
    let again = agent.call("tune", asked(85)).await;
    assert_eq!((&again["state"], &again["tune"]), (&json!("succeeded"), &first["tune"]));
    assert_ne!(again["job_id"], first["job_id"], "another run");
    assert_eq!(written(), before, "nothing was made anew");
    let left = std::fs::read_dir(&made).expect("there").count();
    assert_eq!(left, 1, "beside the film there is nothing");

    // Another question finds the name taken, and so does the same once the file is another.
    let text = agent.refused("tune", asked(80)).await;
    assert!(text.contains("is not what this run makes"), "{text}");
    std::fs::write(&path, b"somebody else's").expect("written");
    let text = start().await.refused("tune", asked(85)).await;
    assert!(text.contains("is not what this run makes"), "{text}");
    assert_eq!(std::fs::read(&path).expect("there"), b"somebody else's");
}

#[tokio::test]
async fn tuning_is_told_of_and_ends_when_it_is_cancelled() {
    let videos = Videos::new();
    let pair = ClipSpec::texture(7, 640, 368, 24).make();
    let (source, _) = long(&videos, &pair, 60);
    let config = config(&videos, &["--ffmpeg", &ffmpeg()]);
    let agent = Agent::connect(&config, &Telemetry::disabled(), Told::default()).await;
    let tune =
        |target: f64, wait: u32| json!({"source": source, "target": target, "wait_seconds": wait});
    let text = agent.refused("tune", json!({"source": source, "target": 90, "output": "a.mkv"}));
    assert!(text.await.contains("--output-root"));

    let run = agent.call("tune", tune(90.0, 3)).await;
    assert_eq!(run["state"], "running", "{run}");
    let told = agent.client.service().progress.lock().expect("no panic").clone();
    assert!(told.iter().any(|told| told.message.is_some()), "{told:?}");
    let next = agent.call("tune", tune(80.0, 0)).await;
    assert_eq!(next["state"], "queued", "one encodes at a time: {next}");
    let began = std::time::Instant::now();
    let answer = agent.call("cancel_job", json!({"job_id": run["job_id"]})).await;
    assert_eq!((&answer["state"], &answer["changed"]), (&json!("cancelled"), &json!(true)));
    // Its thread and its encoder are gone when the next one has its turn.
    loop {
        let seen = agent.call("get_job", json!({"job_id": next["job_id"]})).await;
        if seen["state"] == "running" {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("the next run began {:?} after the cancel", began.elapsed());
    let answer = agent.call("cancel_job", json!({"job_id": next["job_id"]})).await;
    assert_eq!(answer["state"], "cancelled");
    assert_eq!(agent.call("get_job", json!({"job_id": run["job_id"]})).await["state"], "cancelled");
}

/// Calls a tool that takes long for a client that knows tasks, and gives the task's id.
async fn begin(agent: &Agent, tool: &'static str, arguments: Value) -> String {
    let arguments = arguments.as_object().cloned().expect("an object");
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(rmcp::model::CallToolRequest::new(request));
    let answer = tokio::time::timeout(PATIENCE, agent.client.send_request(request)).await;
    let answer = serde_json::to_value(answer.expect("in time").expect("an answer")).expect("JSON");
    assert_eq!(answer["status"], "working", "{answer}");
    answer["taskId"].as_str().expect("a task").to_owned()
}

/// Where a task stands.
async fn task_get(agent: &Agent, id: &str) -> Value {
    let request = ClientRequest::GetTaskRequest(GetTaskRequest::new(GetTaskParams::new(id)));
    let answer = tokio::time::timeout(PATIENCE, agent.client.send_request(request)).await;
    serde_json::to_value(answer.expect("in time").expect("an answer")).expect("JSON")
}

/// A pair that takes long, made of a short one over and over.
fn long(videos: &Videos, pair: &testkit::ClipPair, times: usize) -> (String, String) {
    let write = |name: &str, clip: &testkit::Clip| {
        let bytes = clip.y4m_bytes();
        let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
        let (header, frames) = bytes.split_at(header);
        let path = videos.path().join(name);
        std::fs::write(&path, [header, &frames.repeat(times)].concat()).expect("written");
        path.display().to_string()
    };
    (write("long-reference.y4m", &pair.reference), write("long-distorted.y4m", &pair.distorted))
}
