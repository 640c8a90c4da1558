//! `worst_frames`: the worst moments of a result, to look at.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{Picture, PlanesWanted};
use media::{MediaConfig, Stop, Video};
use proto::rpc::GetFrames;
use rmcp::model::ContentBlock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{JobId, JobView, MediaRef, State};

use super::{Answer, Effect, Tool, args, probe, view};
use crate::analysis::render::{self, Colours};
use crate::analysis::worst::{Worst, worst};
use crate::error::ToolError;
use crate::platform::Call;
use crate::progress::Meter;

/// Frames that are shown at most.
const COUNT_MAX: usize = 8;
/// Frames that are shown unless told otherwise.
const COUNT_DEFAULT: usize = 3;
/// Frames between two that are shown unless told otherwise: half a second of film.
const GAP_DEFAULT: u64 = 12;
/// Pixels of an image's longer side unless told otherwise.
const SIDE_DEFAULT: u32 = 480;
/// How much brighter a difference is shown than it is.
const GAIN: f64 = 8.0;
/// Bytes of all images of an answer together, before they are encoded as text.
const IMAGE_BYTES_MAX: usize = 6 << 20;

/// `worst_frames`
pub(crate) struct WorstFrames;

/// What `worst_frames` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorstIn {
    /// A job that has succeeded.
    pub job_id: String,
    /// Which of its distorted videos, from 0.
    #[serde(default)]
    pub distorted_index: usize,
    /// How many frames, 1 to 8; 3 unless given.
    #[serde(default)]
    pub count: Option<usize>,
    /// Frames that two shown ones are apart at least; 12 unless given. Raise it to see more scenes.
    #[serde(default)]
    pub frame_gap: Option<u64>,
    /// The column whose lowest values are the worst; the first model's score unless given.
    #[serde(default)]
    pub column: Option<String>,
    /// Give images: reference, distorted and difference of each frame; true unless given.
    #[serde(default)]
    pub images: Option<bool>,
    /// Pixels of an image's longer side, up to 1280; 480 unless given.
    #[serde(default)]
    pub image_side: Option<u32>,
}

/// The worst moments.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WorstOut {
    /// The job.
    pub job_id: String,
    /// The distorted video.
    pub distorted: String,
    /// The column by which they are the worst.
    pub column: String,
    /// The frames, worst first.
    pub frames: Vec<FrameOut>,
    /// In which order the images follow, and what is to be known about their colours.
    pub images_note: String,
}

/// One bad frame.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FrameOut {
    /// Its number in the result, from 0.
    pub frame_index: u64,
    /// Its number in both files, from 0.
    pub file_frame: u64,
    /// Its score.
    pub score: f64,
    /// When it is shown, in seconds, where the frame rate is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The values of the frames around it, as a resource.
    pub frames_uri: String,
}

/// Pictures of the frames, and what was found out on the way.
#[derive(Default)]
struct Shown {
    /// Reference, distorted and difference of each frame, in the order of the frames.
    images: Vec<[Vec<u8>; 3]>,
    assumed: Vec<String>,
    frame_rate: Option<f64>,
}

impl Tool for WorstFrames {
    const NAME: &'static str = "worst_frames";
    const TITLE: &'static str = "See the worst frames";
    const DESCRIPTION: &'static str = "Shows the worst moments of a result: the lowest-scoring frames, one a scene, each with \
         three images (reference, distorted, and their difference in luma made eight times \
         brighter). Look at them to tell what went wrong: blocking, blur, banding, a wrong frame \
         (the pair is misaligned: run check_pair), a scene cut. Images need the two files to be \
         readable by this server.";
    const EFFECT: Effect = Effect::Reads;
    type Input = WorstIn;
    type Output = WorstOut;

    async fn run(mut call: Call, input: WorstIn) -> Result<Answer<WorstOut>, ToolError> {
        let id = args::job_id(&input.job_id)?;
        let job = succeeded(&call, id).await?;
        let index = input.distorted_index;
        let (column, found) = find(&call, &job, &input).await?;
        let distorted = job.spec.distorted.get(index).cloned().ok_or_else(|| no_such(index))?;
        let first = job.spec.first_frame_index;
        let mut out = WorstOut {
            job_id: id.to_string(),
            distorted: distorted.uri.clone(),
            column,
            frames: found.iter().map(|frame| frame_out(&job, index, frame)).collect(),
            images_note: "No images were asked for.".to_owned(),
        };
        if !input.images.unwrap_or(true) || found.is_empty() {
            return Ok(out.into());
        }
        let frames: Vec<u64> = found.iter().map(|frame| first + frame.frame_index).collect();
        let side = input.image_side.unwrap_or(SIDE_DEFAULT).clamp(16, render::SIDE_MAX);
        let last = frames.iter().max().copied().unwrap_or(0) + 1;
        let reference = job.spec.reference.clone();
        let work = move |config: &MediaConfig, stop: &Stop, meter: &Meter| {
            show(&[reference, distorted], &frames, side, config, stop, meter)
        };
        let shown = call.decode("decoding", Meter::of(Some(2 * last)), work).await;
        let more = match shown {
            Ok(shown) => add_images(&mut out, shown),
            Err(error) if error.kind == "cancelled" => return Err(error),
            Err(error) => {
                // The frames are worth knowing without the images.
                out.images_note =
                    format!("No images: {}: {} {}", error.kind, error.message, error.hint);
                Vec::new()
            }
        };
        Ok(Answer { value: out, more })
    }
}

/// The job, which must have a result.
pub(super) async fn succeeded(call: &Call, id: JobId) -> Result<JobView, ToolError> {
    if call.platform.tunes.view(id).is_some() {
        let message = format!("{id} is a run of tune, which keeps no frames");
        let hint = "Call score with the source and the finished file, and take that job.";
        return Err(ToolError::new("NOT_READY", message, hint));
    }
    let job = call.platform.jobs.job(id).await?;
    if job.state == State::Succeeded {
        return Ok(job);
    }
    let hint = match job.state {
        State::Queued | State::Running => "Call get_job with wait_seconds until it has succeeded.",
        _ => "Take a job that has succeeded; list_jobs with states [\"succeeded\"] names them.",
    };
    let message = format!("job {id} is {}: it has no result", job.state);
    Err(ToolError::new("NOT_READY", message, hint))
}

fn no_such(index: usize) -> ToolError {
    let message = format!("the job has no distorted video {index}");
    ToolError::argument(message, "distorted_index counts from 0; get_job lists the results.")
}

/// The column to go by, and its worst frames.
async fn find(
    call: &Call,
    job: &JobView,
    input: &WorstIn,
) -> Result<(String, Vec<Worst>), ToolError> {
    let result =
        job.results.get(input.distorted_index).ok_or_else(|| no_such(input.distorted_index))?;
    let headline = || result.models.first().map(|model| model.name.clone());
    let column = input.column.clone().or_else(headline).ok_or_else(|| {
        ToolError::argument("the job has no model's score", "Name a column of its frames.")
    })?;
    let get = GetFrames {
        distorted_index: input.distorted_index,
        columns: vec![column.clone()],
        ..GetFrames::all(job.id)
    };
    let table = call.platform.jobs.frames(get).await?;
    let values = table.column(&column).ok_or_else(|| {
        let names: Vec<&str> = result.pooled.iter().map(|(name, _)| name.as_str()).collect();
        let hint = format!("Columns there are: {}.", names.join(", "));
        ToolError::argument(format!("there is no column {column:?}"), hint)
    })?;
    let count = input.count.unwrap_or(COUNT_DEFAULT).clamp(1, COUNT_MAX);
    let gap = input.frame_gap.unwrap_or(GAP_DEFAULT).max(1);
    let found = worst(&table.frame_indices, &values.values, count, gap);
    Ok((column, found))
}

fn frame_out(job: &JobView, index: usize, frame: &Worst) -> FrameOut {
    let around = frame.frame_index.saturating_sub(GAP_DEFAULT);
    FrameOut {
        frame_index: frame.frame_index,
        file_frame: job.spec.first_frame_index + frame.frame_index,
        score: frame.score,
        seconds: None,
        frames_uri: view::frames_uri(job.id, index, around),
    }
}

/// Decodes both videos as far as the last of `frames`, and draws those. Blocks.
fn show(
    videos: &[MediaRef; 2],
    frames: &[u64],
    side: u32,
    config: &MediaConfig,
    stop: &Stop,
    meter: &Meter,
) -> Result<Shown, ToolError> {
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by_key(|place| frames[*place]);
    let wanted: Vec<u64> = order.iter().map(|place| frames[*place]).collect();
    let [reference, distorted] = videos;
    let mut pair = media::Pair::open(reference, distorted, config, stop)?;
    let (info, other) = (pair.reference.info().clone(), pair.distorted.info().clone());
    let (colours, mut assumed) = Colours::of(&info.declared, info.height);
    let (other_colours, also) = Colours::of(&other.declared, other.height);
    let also = also.into_iter().filter(|what| !assumed.contains(what));
    let also: Vec<String> = also.map(|what| format!("distorted: {what}")).collect();
    assumed.extend(also);
    let pool = probe::pool(&info, PlanesWanted::All, 2)?;
    let mut drawn = vec![[const { Vec::new() }; 3]; frames.len()];
    let mut bytes = 0;
    for (place, frame) in order.into_iter().zip(wanted) {
        let take = |video: &mut Video| take_frame(video, frame, &pool, meter);
        let reference = take(&mut pair.reference)?;
        let distorted = take(&mut pair.distorted)?;
        let images = draw([&reference, &distorted], [colours, other_colours], side)?;
        bytes += images.iter().map(Vec::len).sum::<usize>();
        if bytes > IMAGE_BYTES_MAX {
            assumed.push(
                "images were left out to keep the answer small: ask for smaller \
                          ones (image_side) or fewer frames (count)"
                    .to_owned(),
            );
            break;
        }
        drawn[place] = images;
    }
    let frame_rate = info.frame_rate.map(|(a, b)| f64::from(a) / f64::from(b));
    Ok(Shown { images: drawn, assumed, frame_rate })
}

/// The frame of that number in the file.
fn take_frame(
    video: &mut Video,
    frame: u64,
    pool: &engine::PicturePool,
    meter: &Meter,
) -> Result<Picture, ToolError> {
    let mut picture = pool.try_take().ok_or_else(|| ToolError::internal("no picture is free"))?;
    let mut there = true;
    while there && video.frame_index() < frame {
        there = video.skip_frames(1)? == 1;
        meter.step();
    }
    if there && video.read_frame(&mut picture)? {
        meter.step();
        return Ok(picture.freeze());
    }
    let message = format!("{} has no frame {frame} any more", video.info().name);
    let hint = "The file changed since it was scored: score it anew.";
    Err(ToolError::new("zero_frames", message, hint))
}

fn draw(
    [reference, distorted]: [&Picture; 2],
    colours: [Colours; 2],
    side: u32,
) -> Result<[Vec<u8>; 3], ToolError> {
    let failed = |error| ToolError::internal(format!("an image cannot be made: {error}"));
    Ok([
        render::colour_png(reference, colours[0], side).map_err(failed)?,
        render::colour_png(distorted, colours[1], side).map_err(failed)?,
        render::difference_png(reference, distorted, GAIN, side).map_err(failed)?,
    ])
}

/// The images behind the answer, each set after a line that says what it shows.
fn add_images(out: &mut WorstOut, shown: Shown) -> Vec<ContentBlock> {
    let mut note = format!(
        "For each frame, in this order: reference, distorted, and their difference in luma made \
         {GAIN} times brighter."
    );
    for assumed in &shown.assumed {
        note.push(' ');
        note.push_str(assumed);
        note.push('.');
    }
    out.images_note = note;
    let mut more = Vec::new();
    for (frame, images) in out.frames.iter_mut().zip(shown.images) {
        frame.seconds = shown.frame_rate.map(|rate| {
            // To the millisecond, which is what players show.
            Duration::from_secs_f64(frame.file_frame as f64 / rate).as_millis() as f64 / 1e3
        });
        if images[0].is_empty() {
            continue;
        }
        let line = format!(
            "Frame {}, {} {:.2}: reference, distorted, difference",
            frame.file_frame, out.column, frame.score
        );
        more.push(ContentBlock::text(line));
        more.extend(images.map(|png| ContentBlock::image(STANDARD.encode(png), "image/png")));
    }
    more
}
