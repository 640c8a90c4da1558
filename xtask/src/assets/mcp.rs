//! The conformance suite of the Model Context Protocol, from npm: every package by version and by
//! the integrity that the lock file names.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::made_once;
use crate::command;

/// The files that say what is installed.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs the suite with the `node` given and its own npm; answers with the script to run.
pub(super) fn conformance(folder: &Path, node: &Path) -> Result<PathBuf, String> {
    let from = command::workspace_root().join("xtask/assets/mcp-conformance");
    let inputs = MANIFESTS.map(|name| from.join(name));
    let target = folder.join("mcp-conformance");
    let npm = node
        .parent()
        .and_then(Path::parent)
        .ok_or("node lies in no folder")?
        .join("lib/node_modules/npm/bin/npm-cli.js");
    made_once(&target, &[&inputs[0], &inputs[1]], || {
        for name in MANIFESTS {
            std::fs::copy(from.join(name), target.join(name))
                .map_err(|error| format!("cannot copy {name}: {error}"))?;
        }
        let mut install = Command::new(node);
        install
            .arg(&npm)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .arg("--prefix")
            .arg(&target);
        command::run(install)
    })?;
    Ok(target.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
}
