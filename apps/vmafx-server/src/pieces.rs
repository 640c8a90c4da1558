//! The frames of a stream on their way from the wire to the thread that fills pictures.
//!
//! A picture is never put together on the way: each piece is checked against what is still missing
//! and handed on as it came, one piece at a time, and its luma is copied once, into the picture
//! that is scored.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use engine::PictureMut;
use media::stop::STOP_CHECK_INTERVAL;
use media::{MediaError, Stop, Stopped};
use proto::score::StreamStart;
use proto::scoring::StreamFrame;
use proto::{ApiError, ErrorKind, Violation};
use scoring::{PairSource, ScoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use types::{FailureKind, RawGeometry};

/// Pieces that wait for the thread that takes them.
const PIECES_WAITING_MAX: usize = 1;

/// A piece of both pictures of a frame.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes of each, and whether the frame ends with them.
    Bytes { reference: Bytes, distorted: Bytes, is_last: bool },
    /// No frame follows.
    End,
}

/// Checks what comes over the wire: every frame whole, in order, none missing.
#[derive(Debug)]
pub(crate) struct Intake {
    geometry: RawGeometry,
    picture_bytes: u64,
    frame_index: u64,
    /// Bytes of each picture of the present frame that have come.
    come: [u64; 2],
    refused: Arc<OnceLock<FailureKind>>,
    pieces: mpsc::Sender<Piece>,
}

fn refused(field: &str, problem: String) -> ApiError {
    let message = format!("{field}: {problem}");
    let violations = vec![Violation { field: field.to_owned(), problem }];
    ApiError { violations, ..ApiError::new(ErrorKind::InvalidArgument, message) }
}

impl Intake {
    /// An intake and the end to which it hands pieces on.
    pub(crate) fn new(start: &StreamStart) -> (Self, Pieces) {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
        let geometry = start.geometry;
        let luma = u64::from(geometry.width) * u64::from(geometry.height);
        let luma_bytes = luma * geometry.format.bytes_per_sample() as u64;
        let picture_bytes = start.picture_bytes();
        let intake = Self {
            geometry,
            picture_bytes,
            frame_index: 0,
            come: [0; 2],
            refused: Arc::default(),
            pieces: sender,
        };
        (intake, Pieces { pieces: receiver, runtime: Handle::current(), luma_bytes })
    }

    /// Why the stream was not taken to its end, once the run that it feeds has ended over that.
    pub(crate) fn refused(&self) -> Arc<OnceLock<FailureKind>> {
        Arc::clone(&self.refused)
    }

    /// Notes why the stream is not taken to its end, where that is its caller's doing.
    pub(crate) fn refuse(&self, error: &ApiError) {
        let kind = error.failure.or(match error.kind {
            ErrorKind::InvalidArgument => Some(FailureKind::InvalidJob),
            ErrorKind::DeadlineExceeded => Some(FailureKind::TimedOut),
            _ => None,
        });
        // The first reason counts.
        let _ = kind.map(|kind| self.refused.set(kind));
    }

    /// Takes a frame, or the next piece of one; waits until the one before has been taken. Gives
    /// whether more is wanted: where the reader is gone, nothing is.
    ///
    /// # Errors
    /// When it does not fit. A reader that is gone is no error: it has a reason of its own.
    pub(crate) async fn take(&mut self, frame: StreamFrame) -> Result<bool, ApiError> {
        let StreamFrame { frame_index, reference, distorted, more } = frame;
        if frame_index != self.frame_index {
            let problem = format!(
                "is {frame_index}, where frame {} is the next; frames come from 0, in order and \
                 without a gap",
                self.frame_index
            );
            return Err(refused("frame.frame_index", problem));
        }
        if more && reference.is_empty() && distorted.is_empty() {
            let problem = format!("a piece of frame {frame_index} is empty though more follow");
            return Err(refused("frame.more", problem));
        }
        for (side, (name, bytes)) in
            [("frame.reference", &reference), ("frame.distorted", &distorted)].iter().enumerate()
        {
            self.come[side] += bytes.len() as u64;
            let (come, whole) = (self.come[side], self.picture_bytes);
            if come > whole || (!more && come != whole) {
                let RawGeometry { width, height, format } = self.geometry;
                let problem = format!(
                    "frame {frame_index} has {come} bytes{}; a picture of {width}x{height} \
                     {format} has {whole}",
                    if more { " so far" } else { "" },
                );
                return Err(refused(name, problem));
            }
        }
        if !more {
            self.frame_index += 1;
            self.come = [0; 2];
        }
        let piece = Piece::Bytes { reference, distorted, is_last: !more };
        Ok(self.pieces.send(piece).await.is_ok())
    }

    /// The caller sends no more.
    ///
    /// # Errors
    /// When that is in the middle of a frame, or before the first.
    pub(crate) async fn end(&self) -> Result<(), ApiError> {
        let failure = |kind, message: String| ApiError {
            failure: Some(kind),
            ..ApiError::new(ErrorKind::InvalidArgument, message)
        };
        if self.come != [0; 2] {
            let message = format!("the stream ended in the middle of frame {}", self.frame_index);
            return Err(failure(FailureKind::Truncated, message));
        }
        if self.frame_index == 0 {
            let message = "the stream ended before its first frame".to_owned();
            return Err(failure(FailureKind::ZeroFrames, message));
        }
        let _ = self.pieces.send(Piece::End).await;
        Ok(())
    }
}

/// Fills pictures from pieces, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    runtime: Handle,
    luma_bytes: u64,
}

impl Pieces {
    /// The next piece. An intake that is gone without an end was stopped.
    fn next(&mut self, stop: &Stop) -> Result<Piece, Stopped> {
        const PATIENCE: Duration = STOP_CHECK_INTERVAL;
        loop {
            stop.check()?;
            let next = async { tokio::time::timeout(PATIENCE, self.pieces.recv()).await };
            match self.runtime.block_on(next) {
                Ok(Some(piece)) => return Ok(piece),
                Ok(None) => return Err(Stopped::Cancelled),
                Err(_) => {}
            }
        }
    }

    /// Copies what of `bytes`, which begin at `offset` of a picture, is luma.
    fn copy(&self, picture: &mut PictureMut, offset: u64, bytes: &[u8]) {
        let left = self.luma_bytes.saturating_sub(offset);
        let luma = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if luma.is_empty() {
            return;
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let plane = picture.planes_mut()[0].bytes_mut();
        plane[start..start + luma.len()].copy_from_slice(luma);
    }
}

impl PairSource for Pieces {
    fn fill(
        &mut self,
        reference: &mut PictureMut,
        distorted: &mut PictureMut,
        stop: &Stop,
    ) -> Result<Option<u64>, ScoreError> {
        let mut offsets = [0_u64; 2];
        loop {
            let piece = self.next(stop).map_err(MediaError::from)?;
            let Piece::Bytes { reference: of_reference, distorted: of_distorted, is_last } = piece
            else {
                return Ok(None);
            };
            self.copy(reference, offsets[0], &of_reference);
            self.copy(distorted, offsets[1], &of_distorted);
            offsets[0] += of_reference.len() as u64;
            offsets[1] += of_distorted.len() as u64;
            if is_last {
                break;
            }
        }
        for picture in [reference, distorted] {
            picture.planes_mut()[0].swap_from_little_endian();
        }
        Ok(Some(offsets[0] + offsets[1]))
    }
}
