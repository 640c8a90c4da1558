//! The files that `cambi`'s heat maps go to.
//!
//! Frames are analyzed in any order on many threads, and a map's place in its file follows from its
//! frame alone: each is written where it belongs, nothing waits in memory for its turn. Frames that
//! subsampling leaves out stay empty, as in libvmaf.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine::{HEAT_MAP_FILES, HeatMap, HeatMapSink, HeatMaps};

use crate::error::ScoreError;

/// Who may use a folder that is made for maps: owner and group, as libvmaf makes it.
const FOLDER_MODE: u32 = 0o770;

/// The open files of one video's maps.
#[derive(Debug)]
pub(crate) struct HeatMapFiles {
    files: [(PathBuf, File); HEAT_MAP_FILES],
    /// The first thing that went wrong, for the run's error.
    failure: Mutex<Option<ScoreError>>,
}

impl HeatMapFiles {
    /// Makes the folder, where it is not there, and empty files in it.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(crate) fn create(maps: &HeatMaps) -> Result<Self, ScoreError> {
        let folder = Path::new(&maps.folder);
        let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
        made.map_err(|source| failure(folder, source))?;
        let create = |name: &String| {
            let path = folder.join(name);
            let file = File::create(&path).map_err(|source| failure(&path, source))?;
            Ok((path, file))
        };
        let files = maps.names.iter().map(create).collect::<Result<Vec<_>, ScoreError>>()?;
        let files = files.try_into().expect("a file for each name");
        Ok(Self { files, failure: Mutex::new(None) })
    }

    /// What went wrong with a file, once.
    pub(crate) fn take_failure(&self) -> Option<ScoreError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl HeatMapSink for HeatMapFiles {
    fn write(&self, map: &HeatMap<'_>) -> Result<(), String> {
        let (path, file) = &self.files[map.scale];
        let offset = map.frame_index * map.levels.len() as u64;
        file.write_all_at(map.levels, offset).map_err(|source| {
            let error = failure(path, source);
            let text = error.to_string();
            let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
            text
        })
    }
}

fn failure(path: &Path, source: io::Error) -> ScoreError {
    ScoreError::HeatMap { path: path.display().to_string(), source }
}
