//! What is to be encoded: its hash, its length, its shots and how complex they are.

use std::io::Read;
use std::path::Path;

use media::{MediaConfig, Stop, VideoInfo};
use sha2::{Digest as _, Sha256};
use types::MediaRef;

use crate::digest::finished;
use crate::error::TuneError;
use crate::looks::{Look, Looker};
use crate::probe::FrameRange;
use crate::shots;

/// Frames that are looked at; a week at 60 frames a second.
const FRAMES_MAX: usize = 40_000_000;

/// Bytes that are hashed between two looks at the stop signal.
const HASH_CHUNK_BYTES: usize = 1 << 20;

/// An analysed source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name, as an absolute path.
    pub media: MediaRef,
    /// Size, format and rate.
    pub info: VideoInfo,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// Its frames, looked at.
    pub(crate) looks: Vec<Look>,
    /// Its shots, one after the other, without a gap.
    pub shots: Vec<FrameRange>,
}

impl Source {
    /// Reads it once, from beginning to end. `progress` is told of frames.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, has no frames, or the work is stopped.
    pub fn analyse(
        name: &str,
        media: &MediaConfig,
        stop: &Stop,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Self, TuneError> {
        let absolute = std::path::absolute(Path::new(name)).unwrap_or_else(|_| name.into());
        let name =
            if name.contains("://") { name.to_owned() } else { absolute.display().to_string() };
        let reference = MediaRef::new(name);
        let sha256 = hash(&reference, media, stop)?;
        let mut video = media::open(&reference, media, stop)?;
        let info = video.info().clone();
        let mut looker = Looker::new(&info);
        let (mut looks, mut frame) = (Vec::new(), Vec::new());
        while looks.len() < FRAMES_MAX && video.read_frame_bytes(&mut frame)? {
            stop.check()?;
            looks.push(looker.look(&frame));
            progress(looks.len() as u64, info.frame_count_estimate);
        }
        if looks.is_empty() {
            let detail = "it has none at all".to_owned();
            return Err(media::MediaError::ZeroFrames { name: info.name, detail }.into());
        }
        let shots = shots::find(&looks);
        Ok(Self { media: reference, info, sha256, looks, shots })
    }

    /// How many frames there are.
    #[must_use]
    pub fn frame_count(&self) -> u64 {
        self.looks.len() as u64
    }

    /// Frames per second.
    #[must_use]
    pub fn frames_per_second(&self) -> f64 {
        let (rate, per) = self.info.frame_rate.unwrap_or(media::encode::FRAME_RATE_DEFAULT);
        f64::from(rate.max(1)) / f64::from(per.max(1))
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> FrameRange {
        FrameRange { first: 0, count: self.frame_count() }
    }
}

/// SHA-256 of a file's bytes: what a probe's key names it by, wherever it lies.
fn hash(reference: &MediaRef, media: &MediaConfig, stop: &Stop) -> Result<String, TuneError> {
    let name = reference.uri.as_str();
    if name.contains("://") {
        return Err(TuneError::Request(format!(
            "{name} is a URL; tuning reads its source many times: fetch it to a local file first"
        )));
    }
    let mut file = media.policy.open_file(name)?;
    let metadata = file.metadata().map_err(|error| media::MediaError::from_open(name, error))?;
    if !metadata.is_file() {
        return Err(TuneError::Request(format!(
            "{name} is no regular file; tuning reads its source many times"
        )));
    }
    hash_all(&mut file, name, stop)
}

/// SHA-256 of a file of our own.
pub(crate) fn hash_of(path: &Path, stop: &Stop) -> Result<String, TuneError> {
    let name = path.display().to_string();
    let failed = |source| TuneError::Read { path: name.clone(), source };
    hash_all(&mut std::fs::File::open(path).map_err(failed)?, &name, stop)
}

fn hash_all(file: &mut impl Read, name: &str, stop: &Stop) -> Result<String, TuneError> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; HASH_CHUNK_BYTES];
    loop {
        stop.check()?;
        let count = file
            .read(&mut chunk)
            .map_err(|source| media::MediaError::Io { name: name.to_owned(), source })?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
    }
    Ok(finished(hash))
}
