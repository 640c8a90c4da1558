//! Writes the inputs of every golden case into a folder, for a libvmaf to score.
//!
//! ```text
//! golden_inputs DIR
//! ```
//!
//! For each case: `NAME.ref.yuv` and `NAME.dis.yuv`, headerless, and `NAME.arguments`, what the
//! `vmaf` program is to be called with, one argument a line; its log goes to `NAME.log.json`. The
//! program must print its numbers with every digit (`%.17g`); `golden_collect` refuses others.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use testkit::golden::{Case, cases};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or("usage: golden_inputs DIR")?;
    fs::create_dir_all(&folder)?;
    let cases = cases();
    cases.iter().try_for_each(|case| write(&folder, case))?;
    println!("{} cases in {}", cases.len(), folder.display());
    Ok(())
}

fn write(folder: &Path, case: &Case) -> io::Result<()> {
    let path = |end: &str| folder.join(format!("{}.{end}", case.name));
    let (reference, distorted, log) = (path("ref.yuv"), path("dis.yuv"), path("log.json"));
    let pair = case.clip.make();
    fs::write(&reference, pair.reference.raw_bytes())?;
    fs::write(&distorted, pair.distorted.raw_bytes())?;
    let [reference, distorted, log] =
        [reference, distorted, log].map(|path| path.to_string_lossy().into_owned());
    fs::write(path("arguments"), case.vmaf_arguments(&reference, &distorted, &log).join("\n"))
}
