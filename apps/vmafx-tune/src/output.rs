//! Where finished files go, what they have besides pictures, and how they get their names.
//!
//! A file appears under its name only when it is whole: until then it lies beside it, in a folder that
//! goes with the run. What had the name when the run began is replaced; what got it meanwhile is not.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use media::encode::{Streams, accompany, fragment, streams_of, takes};
use media::{EncoderError, MediaConfig, Stop};
use types::{Encoder, MediaRef};

use crate::error::TuneError;
use crate::leftovers::Scratch;
use crate::progress::{Event, Sink};
use crate::request::{Besides, Keep};
use crate::session::Session;

/// What the names of folders of unfinished files begin with.
const PREFIX: &str = ".vmafx-tune-";

/// Names that are tried for a file whose own was taken meanwhile.
const OTHER_NAMES_MAX: u32 = 99;

/// How pictures become a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// As they are encoded.
    Plain,
    /// With these streams of the source.
    With(Streams),
    /// As an mp4 file of fragments.
    Fragments,
}

/// A finished file that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its name.
    pub path: PathBuf,
    pub wrap: Wrap,
    /// Something had the name when the run began, and is to be replaced.
    replaces: bool,
}

impl Wanted {
    /// A file with nothing but pictures.
    fn pictures(path: &Path) -> Self {
        let replaces = path.symlink_metadata().is_ok();
        Self { path: path.to_owned(), wrap: Wrap::Plain, replaces }
    }

    /// An mp4 file of fragments.
    pub(crate) fn fragments(path: &Path) -> Self {
        Self { wrap: Wrap::Fragments, ..Self::pictures(path) }
    }

    /// A file with what the source has and the container takes. What it does not take and was asked
    /// for is an error before anything is encoded.
    pub(crate) fn new(
        path: &Path,
        besides: Besides,
        source: &MediaRef,
        session: &Session<'_>,
    ) -> Result<Self, TuneError> {
        let wanted = Self::pictures(path);
        let wanted = Self { replaces: wanted.replaces && session.env.replaces, ..wanted };
        if besides == Besides::NOTHING {
            return Ok(wanted);
        }
        let (media, stop) = (&session.env.run.media, &session.stop);
        let there = streams_of(source, media, stop)?;
        let trial = unfinished(path)?;
        let take = |keep: Keep, streams: Streams, option: &str| -> Result<bool, TuneError> {
            if keep == Keep::None || streams.is_none() {
                return Ok(false);
            }
            match takes(source, streams, &trial.path, media, stop) {
                Ok(()) => Ok(true),
                Err(EncoderError::Streams { detail, .. }) if keep == Keep::Auto => {
                    let message = format!(
                        "the source's {} are left out, as the container does not take them: {detail}",
                        option.trim_start_matches('-')
                    );
                    session.sink.event(&Event::Note { message });
                    Ok(false)
                }
                Err(EncoderError::Streams { streams, detail, .. }) => {
                    let output = path.display().to_string();
                    let detail = format!("{detail} ({option} none leaves them out)");
                    Err(EncoderError::Streams { output, streams, detail }.into())
                }
                Err(error) => Err(error.into()),
            }
        };
        let audio = Streams { audio: there.audio, ..Streams::NONE };
        let subtitles = Streams { subtitles: there.subtitles, ..Streams::NONE };
        let streams = Streams {
            audio: take(besides.audio, audio, "--audio")?,
            subtitles: take(besides.subtitles, subtitles, "--subtitles")?,
        };
        let wrap = if streams.is_none() { Wrap::Plain } else { Wrap::With(streams) };
        Ok(Self { wrap, ..wanted })
    }

    /// A place for the file until it is whole.
    pub(crate) fn unfinished(&self) -> Result<Unfinished, TuneError> {
        unfinished(&self.path)
    }
}

/// Where a file lies until it is whole: a folder beside where it will be, which goes with the run.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub path: PathBuf,
    _folder: Scratch,
}

/// A place for a file until it is whole, with the same ending. What killed runs left there is removed.
fn unfinished(output: &Path) -> Result<Unfinished, TuneError> {
    media::encode::container_of(output)?;
    let output = std::path::absolute(output).map_err(TuneError::write(output))?;
    let folder = output.parent().unwrap_or(Path::new("/"));
    let scratch = Scratch::new(folder, PREFIX).map_err(TuneError::write(&output))?;
    let path = scratch.path().join(output.file_name().unwrap_or_default());
    Ok(Unfinished { path, _folder: scratch })
}

impl Unfinished {
    /// A name for the pictures alone, beside the file that they become part of.
    pub(crate) fn pictures(&self) -> PathBuf {
        self.path.with_file_name(".pictures.mkv")
    }

    /// Gives the file its name, so that it is there whole also after a loss of power, and says which:
    /// a name that was free when the run began and is not any more is somebody else's, and the file
    /// gets one beside it.
    pub(crate) fn place(self, wanted: &Wanted, sink: &dyn Sink) -> Result<PathBuf, TuneError> {
        let output = &wanted.path;
        let placed = || -> io::Result<PathBuf> {
            File::open(&self.path)?.sync_all()?;
            let name = if wanted.replaces {
                std::fs::rename(&self.path, output)?;
                output.clone()
            } else {
                rename_to_free(&self.path, output)?
            };
            let whole = std::path::absolute(&name)?;
            File::open(whole.parent().unwrap_or(Path::new("/")))?.sync_all()?;
            Ok(name)
        };
        let name = placed().map_err(TuneError::write(output))?;
        if name != *output {
            let message = format!(
                "{} was made by somebody else meanwhile and is left alone; the file is {}",
                output.display(),
                name.display()
            );
            sink.event(&Event::Note { message });
        }
        Ok(name)
    }
}

/// Renames to a name that nothing has: the one given, or one beside it.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<PathBuf> {
    for number in 1..=OTHER_NAMES_MAX {
        let name = if number == 1 { to.to_owned() } else { numbered(to, number) };
        match rename_new(from, &name) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `film.mkv` becomes `film-2.mkv`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

/// Renames unless the name is taken: in one step where the file system has one.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done.map_err(Into::into),
        }
    }
    // A second name is never given over a first. Where there are none, a look has to do.
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

/// Makes a file of pictures that are encoded: `pictures` becomes `output`.
pub(crate) fn wrap(
    wrap: Wrap,
    pictures: &Path,
    source: &MediaRef,
    encoder: Encoder,
    output: &Path,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<(), TuneError> {
    match wrap {
        Wrap::Plain => return std::fs::rename(pictures, output).map_err(TuneError::write(output)),
        Wrap::With(streams) => {
            accompany(pictures, source, streams, encoder, output, media, stop)?;
        }
        Wrap::Fragments => fragment(pictures, encoder, output, &media.ffmpeg, stop)?,
    }
    // That it stays until the run's end is no error.
    let _ = std::fs::remove_file(pictures);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn an_unfinished_file_lies_beside_the_finished_one_and_goes_with_its_guard() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("film.mp4");
        let held = unfinished(&output).expect("a known ending");
        assert_eq!(held.path.parent().and_then(Path::parent), output.parent());
        assert_eq!(held.path.extension(), output.extension());
        std::fs::write(&held.path, b"x").expect("written");
        let path = held.path.clone();
        drop(held);
        assert!(!path.exists());
        let wanted = Wanted::pictures(&output);
        let held = wanted.unfinished().expect("a known ending");
        std::fs::write(&held.path, b"x").expect("written");
        assert_eq!(held.place(&wanted, &Silent).expect("renamed"), output);
        let left = std::fs::read_dir(folder.path()).expect("read").count();
        assert!(output.exists() && left == 1, "{left}");
        assert!(unfinished(Path::new("film.exe")).is_err());
    }

    #[test]
    fn what_appeared_meanwhile_is_left_alone_and_what_was_there_is_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("film.v2.mkv");
        let finish = |wanted: &Wanted| {
            let held = wanted.unfinished().expect("a known ending");
            std::fs::write(&held.path, b"ours").expect("written");
            held.place(wanted, &Silent).expect("placed")
        };
        let read = |path: &Path| std::fs::read(path).expect("there");
        let early = Wanted::pictures(&output);
        std::fs::write(&output, b"theirs").expect("written");
        let beside = folder.path().join("film.v2-2.mkv");
        assert_eq!(finish(&early), beside);
        assert_eq!((read(&output), read(&beside)), (b"theirs".to_vec(), b"ours".to_vec()));
        assert_eq!(finish(&early), folder.path().join("film.v2-3.mkv"));
        assert_eq!(finish(&Wanted::pictures(&output)), output);
        assert_eq!(read(&output), b"ours");
    }
}
