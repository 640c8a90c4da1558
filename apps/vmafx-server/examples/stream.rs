//! Sends a pair of y4m files (4:2:0, 8 bits) to `ScoreStream` as if it were live, over and over, and
//! prints each frame's score, or a line a minute where a time is given:
//!
//! ```sh
//! cargo run -p vmafx-server --example stream -- http://127.0.0.1:50051 reference.y4m distorted.y4m [FPS [SECONDS]]
//! ```

use std::time::{Duration, Instant};

use proto::controller::RawGeometry;
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::scoring::score_stream_response::Message as Said;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;

type Error = Box<dyn std::error::Error>;

/// The frames of a clip and the size of its pictures.
fn read(path: &str) -> Result<(u32, u32, Vec<bytes::Bytes>), Error> {
    const FRAME: &[u8] = b"FRAME\n";
    let clip = bytes::Bytes::from(std::fs::read(path)?);
    let end = clip.iter().position(|byte| *byte == b'\n').ok_or("no y4m header")?;
    let header = std::str::from_utf8(&clip[..end])?.to_owned();
    let side = |tag| -> Result<u32, Error> {
        let field = header.split(' ').skip(1).find_map(|field| field.strip_prefix(tag));
        Ok(field.ok_or("no size in the header")?.parse()?)
    };
    let (width, height) = (side('W')?, side('H')?);
    let picture = (width * height + 2 * width.div_ceil(2) * height.div_ceil(2)) as usize;
    let starts = (end + 1..clip.len()).step_by(FRAME.len() + picture);
    let frames = starts.map(|start| clip.slice(start + FRAME.len()..start + FRAME.len() + picture));
    Ok((width, height, frames.collect()))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, reference, distorted, rest @ ..] = arguments.as_slice() else {
        return Err("give URL REFERENCE DISTORTED [FPS [SECONDS]]".into());
    };
    let fps: f64 = rest.first().map_or(Ok(25.0), |text| text.parse())?;
    let seconds: Option<f64> = rest.get(1).map(|text| text.parse()).transpose()?;
    let ((width, height, reference), (_, _, distorted)) = (read(reference)?, read(distorted)?);
    let clip_frames = reference.len().min(distorted.len());
    let frame_count = seconds.map_or(clip_frames as u64, |seconds| (seconds * fps) as u64);
    let geometry = RawGeometry { width, height, chroma: "420".to_owned(), bit_depth: 8 };
    let config = pb::StreamConfig { geometry: Some(geometry), ..pb::StreamConfig::default() };
    let began = Instant::now();
    let messages = async_stream::stream! {
        yield pb::ScoreStreamRequest { message: Some(Asked::Config(config)) };
        for frame_index in 0..frame_count {
            let due = Duration::from_secs_f64(frame_index as f64 / fps);
            tokio::time::sleep_until((began + due).into()).await;
            let place = frame_index as usize % clip_frames;
            let (reference, distorted) = (reference[place].clone(), distorted[place].clone());
            let frame = pb::StreamFrame { frame_index, reference, distorted, more: false };
            yield pb::ScoreStreamRequest { message: Some(Asked::Frame(frame)) };
        }
    };
    let mut client = VmafxScoringClient::connect(url.clone()).await?;
    let mut answers = client.score_stream(messages).await?.into_inner();
    let (mut latest, mut late_max) = (0, Duration::ZERO);
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Said::Frame(frame)) => {
                // A frame's score needs the frame after it, which is sent this much later.
                let sent = Duration::from_secs_f64((frame.frame_index + 1) as f64 / fps);
                late_max = late_max.max(began.elapsed().saturating_sub(sent));
                if seconds.is_none() {
                    println!("frame {:>4}  {:.6}", frame.frame_index, frame.score);
                } else if began.elapsed().as_secs() / 60 > latest {
                    latest = began.elapsed().as_secs() / 60;
                    println!(
                        "{latest} min: frame {}, score {:.3}, latest score {late_max:?} after its frame",
                        frame.frame_index, frame.score
                    );
                }
            }
            Some(Said::Aggregate(aggregate)) => {
                let result = aggregate.result.unwrap_or_default();
                println!(
                    "{} frames in {:?}: {} {:.6}, digest {}",
                    result.frame_count,
                    began.elapsed(),
                    result.models.first().map_or("", |model| model.version.as_str()),
                    aggregate.score,
                    &result.digest[..16.min(result.digest.len())],
                );
            }
            Some(Said::Started(_)) | None => {}
        }
    }
    Ok(())
}
