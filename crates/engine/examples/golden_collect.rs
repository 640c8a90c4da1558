//! Turns the logs of a libvmaf into golden files.
//!
//! ```text
//! golden_collect DIR [GOLDEN_DIR]
//! ```
//!
//! Reads `DIR/NAME.log.json` of every case that `golden_inputs` wrote there, and writes
//! `GOLDEN_DIR/NAME.json`, by default this crate's `golden` folder. Every case must have its log; a
//! log whose numbers were rounded is refused. To be run by hand, when libvmaf's own results have changed.

use std::path::{Path, PathBuf};
use std::{env, fs};

use testkit::golden::{Golden, cases};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let logs = arguments.next().ok_or("usage: golden_collect DIR [GOLDEN_DIR]")?;
    let golden =
        arguments.next().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"));
    fs::create_dir_all(&golden)?;
    let cases = cases();
    for case in &cases {
        let path = logs.join(format!("{}.log.json", case.name));
        let log =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let values =
            Golden::from_log(case, &log).map_err(|error| format!("{}: {error}", case.name))?;
        fs::write(golden.join(format!("{}.json", case.name)), values.to_json())?;
    }
    println!("{} golden files in {}", cases.len(), golden.display());
    Ok(())
}
