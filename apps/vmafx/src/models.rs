//! `vmafx models`: the models that are compiled in.

use std::process::ExitCode;

use engine::{LIBVMAF_COMMIT, LIBVMAF_VERSION, Model, builtin_models};
use serde_json::json;

use crate::remote::{finish, print, print_json};
use crate::show;

/// What `vmafx models` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelsArgs {
    /// Print one JSON value instead of text
    #[arg(long)]
    json: bool,
}

/// Runs `vmafx models`.
pub(crate) fn models(args: &ModelsArgs) -> ExitCode {
    let sha256 = |version| {
        Model::builtin(version).map(|model| model.sha256().to_owned()).unwrap_or_default()
    };
    if args.json {
        let models: Vec<_> = builtin_models()
            .iter()
            .map(|model| {
                json!({
                    "version": model.version,
                    "description": model.description,
                    "sha256": sha256(model.version),
                })
            })
            .collect();
        return finish(print_json(&json!({
            "libvmaf_version": LIBVMAF_VERSION,
            "libvmaf_commit": LIBVMAF_COMMIT,
            "models": models,
        })));
    }
    let rows: Vec<Vec<String>> = builtin_models()
        .iter()
        .map(|model| {
            let short = sha256(model.version).chars().take(12).collect();
            vec![model.version.to_owned(), short, model.description.to_owned()]
        })
        .collect();
    let table = show::table(&["MODEL", "SHA-256", "FOR"], &rows);
    finish(print(&format!(
        "{table}\nScores equal those of libvmaf {LIBVMAF_VERSION}. --model path=FILE loads any other.\n"
    )))
}
