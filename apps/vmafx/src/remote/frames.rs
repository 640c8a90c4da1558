//! `vmafx frames`: a finished job's per-frame values, in the shape of libvmaf's logs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use proto::rpc::GetFrames;
use serde_json::json;
use types::{FrameTable, JobId};

use super::{RemoteArgs, RemoteError, parse_job_id, print, print_json, run};

/// What `vmafx frames` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct FramesArgs {
    /// The job's id
    #[arg(value_parser = parse_job_id)]
    job: JobId,
    /// Which distorted video, from 0
    #[arg(long, default_value = "0", value_name = "N")]
    distorted: usize,
    /// The first frame to print, from 0
    #[arg(long, default_value = "0", value_name = "N")]
    first_frame: u64,
    /// How many frames at most
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// Only this feature or score; may be given several times
    #[arg(long = "column", value_name = "NAME")]
    columns: Vec<String>,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx frames`: CSV, or with `--json` one object with a list a column. Values have as many
/// digits as it takes to read the same number back.
pub(crate) fn frames(args: &FramesArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let table = client
            .frames(GetFrames {
                job: args.job,
                distorted_index: args.distorted,
                first_frame_index: args.first_frame,
                frame_count_max: args.frames,
                columns: args.columns.clone(),
            })
            .await?;
        match (&args.output, args.remote.json) {
            (None, true) => print_json(&object(&table)),
            (None, false) => print(&csv(&table)),
            (Some(path), as_json) => {
                let text = if as_json { format!("{:#}\n", object(&table)) } else { csv(&table) };
                std::fs::write(path, text).map_err(|source| RemoteError::Write {
                    what: path.display().to_string(),
                    source,
                })
            }
        }
    })
}

fn object(table: &FrameTable) -> serde_json::Value {
    let columns: serde_json::Map<_, _> =
        table.columns.iter().map(|column| (column.name.clone(), json!(column.values))).collect();
    json!({ "frame_indices": table.frame_indices, "columns": columns })
}

fn csv(table: &FrameTable) -> String {
    let mut text = String::from("frame");
    for column in &table.columns {
        let _ = write!(text, ",{}", column.name);
    }
    for (row, frame_index) in table.frame_indices.iter().enumerate() {
        let _ = write!(text, "\n{frame_index}");
        for column in &table.columns {
            text.push(',');
            // A value that is not there leaves its cell empty, so that columns never shift.
            if let Some(value) = column.values.get(row).filter(|value| !value.is_nan()) {
                let _ = write!(text, "{value}");
            }
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use types::Column;

    use super::*;

    #[test]
    fn a_missing_value_leaves_its_cell_empty() {
        let table = FrameTable {
            frame_indices: vec![0, 2],
            columns: vec![
                Column { name: "a".into(), values: vec![f64::NAN, 0.1] },
                Column { name: "b".into(), values: vec![1.0, 2.5] },
            ],
        };
        assert_eq!(csv(&table), "frame,a,b\n0,,1\n2,0.1,2.5\n");
    }
}
