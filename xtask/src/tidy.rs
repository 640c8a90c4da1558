//! The rules that no compiler checks: which crate may use which, what pure crates may not know,
//! which licences come in, and that the documents name files that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command;

/// The arrows: each crate and the workspace crates it may depend on (tests aside).
const ARROWS: [(&str, &[&str]); 22] = [
    ("types", &[]),
    ("kernels", &[]),
    ("engine", &["kernels", "types"]),
    ("media", &["engine", "types"]),
    ("scoring", &["engine", "media", "types"]),
    ("control", &["types"]),
    ("search", &["types"]),
    ("store", &["control", "types"]),
    ("proto", &["types"]),
    ("observability", &["types"]),
    ("client", &["observability", "proto", "types"]),
    ("service", &["observability", "proto", "types"]),
    ("testkit", &["engine", "types"]),
    ("sim", &["control", "store", "types"]),
    (
        "vmafx-controller",
        &["client", "control", "engine", "observability", "proto", "service", "store", "types"],
    ),
    (
        "vmafx-node",
        &[
            "client",
            "engine",
            "media",
            "observability",
            "proto",
            "scoring",
            "service",
            "types",
            "vmafx-server",
        ],
    ),
    ("vmafx-server", &["engine", "media", "observability", "proto", "scoring", "service", "types"]),
    (
        "vmafx-mcp",
        &[
            "client",
            "engine",
            "media",
            "observability",
            "proto",
            "scoring",
            "search",
            "service",
            "types",
            "vmafx-tune",
        ],
    ),
    (
        "vmafx",
        &[
            "client",
            "control",
            "engine",
            "media",
            "observability",
            "proto",
            "scoring",
            "types",
            "vmafx-controller",
            "vmafx-node",
        ],
    ),
    ("vmafx-tune", &["client", "media", "observability", "proto", "scoring", "search", "types"]),
    (
        "bench",
        &[
            "client",
            "engine",
            "media",
            "observability",
            "proto",
            "scoring",
            "search",
            "testkit",
            "types",
            "vmafx-node",
            "vmafx-tune",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that know no runtime, wire, telemetry SDK, file, socket or clock.
const PURE: [&str; 5] = ["types", "kernels", "engine", "control", "search"];

/// What a pure crate may not name, and why.
const IMPURE: [(&str, &str); 8] = [
    ("std::fs", "files"),
    ("std::net", "sockets"),
    ("std::process", "processes"),
    ("std::env::var", "the environment"),
    ("SystemTime::now", "the clock"),
    ("Instant::now", "the clock"),
    ("std::thread", "threads"),
    ("tokio::", "an async runtime"),
];

/// Packages that must not come in, and why.
const BANNED: [(&str, &str); 3] = [
    ("openssl-sys", "TLS is rustls"),
    ("libvmaf-sys", "its wrapper is GPL, and the engine is ours"),
    ("protoc-bin-vendored", "the protobuf compiler is written in Rust"),
];

/// Licences that may come in. A package passes when one alternative holds only these.
const LICENCES: [&str; 15] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "MPL-2.0",
    "CDLA-Permissive-2.0",
];

/// Text that a finished file does not hold. Spelled in two halves so that this file passes.
const UNFINISHED: [(&str, &str); 4] =
    [("todo", "!("), ("unimplemented", "!("), ("#[igno", "re"), ("assert!(tr", "ue)")];

/// Checks all the rules.
///
/// # Errors
/// Every break found, one a line.
pub(crate) fn run() -> Result<(), String> {
    let root = command::workspace_root();
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&command::output(metadata)?)
        .map_err(|error| format!("cannot read cargo's metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo's metadata lists no packages")?;
    let mut breaks = Vec::new();
    breaks.extend(arrow_breaks(packages));
    breaks.extend(package_breaks(packages));
    let files = tracked_files(&root)?;
    for file in &files {
        breaks.extend(file_breaks(&root, file)?);
    }
    eprintln!("tidy: {} packages, {} files read", packages.len(), files.len());
    if breaks.is_empty() {
        Ok(())
    } else {
        Err(format!("{} rules broken:\n  {}", breaks.len(), breaks.join("\n  ")))
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn is_ours(package: &Value) -> bool {
    package["source"].is_null()
}

fn arrow_breaks(packages: &[Value]) -> Vec<String> {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let ours: BTreeSet<&str> =
        packages.iter().filter(|p| is_ours(p)).map(|p| text(p, "name")).collect();
    let mut breaks = Vec::new();
    for package in packages.iter().filter(|package| is_ours(package)) {
        let name = text(package, "name");
        let Some(allowed) = arrows.get(name) else {
            breaks.push(format!("{name} has no line in the table of arrows"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = text(dependency, "name");
            let is_arrow = dependency["kind"].is_null() && ours.contains(target);
            if is_arrow && !allowed.contains(&target) {
                breaks.push(format!("{name} → {target} is not an arrow of docs/ARCHITECTURE.md"));
            }
        }
    }
    breaks
}

fn package_breaks(packages: &[Value]) -> Vec<String> {
    let mut breaks = Vec::new();
    for package in packages.iter().filter(|package| !is_ours(package)) {
        let name = text(package, "name");
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            breaks.push(format!("{name} came in, but {why}"));
        }
        let licence = text(package, "license");
        if !licence_passes(licence) {
            breaks.push(format!("{name} is licensed {licence:?}, which is not on the list"));
        }
    }
    breaks
}

/// Whether some alternative of an SPDX expression holds only listed licences.
fn licence_passes(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], " ");
    flat.split(" OR ").any(|alternative| {
        alternative.split(" AND ").all(|licence| LICENCES.contains(&licence.trim()))
    })
}

fn tracked_files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = command::output(list)?;
    let is_text = |path: &&str| {
        [".rs", ".md", ".toml", ".proto", ".json", ".yaml", ".yml", ".sh", ".html"]
            .iter()
            .any(|ending| path.ends_with(ending))
    };
    Ok(listed
        .lines()
        .filter(is_text)
        .map(PathBuf::from)
        .filter(|path| root.join(path).exists())
        .collect())
}

fn file_breaks(root: &Path, file: &Path) -> Result<Vec<String>, String> {
    let shown = file.display().to_string();
    let content = std::fs::read_to_string(root.join(file))
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut breaks = Vec::new();
    if shown.ends_with(".rs") {
        breaks.extend(rust_breaks(&shown, &content));
    }
    if shown.ends_with(".md") {
        breaks.extend(link_breaks(root, file, &content));
    }
    Ok(breaks)
}

fn rust_breaks(shown: &str, content: &str) -> Vec<String> {
    let mut breaks = Vec::new();
    let crate_name = shown.split('/').nth(1).unwrap_or_default();
    let is_product = shown.contains("/src/");
    if is_product && shown.starts_with("crates/") && PURE.contains(&crate_name) {
        let product = content.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = product
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for (word, what) in IMPURE {
            if code.contains(word) {
                breaks.push(format!("{shown} uses {what} ({word}), but {crate_name} is pure"));
            }
        }
    }
    for (head, tail) in UNFINISHED {
        if content.contains(&format!("{head}{tail}")) {
            breaks.push(format!("{shown} holds {head}{tail}"));
        }
    }
    breaks
}

/// Relative links of a Markdown file that lead nowhere.
fn link_breaks(root: &Path, file: &Path, content: &str) -> Vec<String> {
    let folder = root.join(file.parent().unwrap_or(Path::new("")));
    let targets = content.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| {
            !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:")
        })
        .filter(|target| !folder.join(target.split('#').next().unwrap_or_default()).exists())
        .map(|target| format!("{} links to {target}, which does not exist", file.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_is_not_drawn_is_a_break() {
        let package = serde_json::json!({
            "name": "types", "source": null,
            "dependencies": [{"name": "engine", "kind": null}, {"name": "testkit", "kind": "dev"}]
        });
        let engine = serde_json::json!({"name": "engine", "source": null, "dependencies": []});
        assert_eq!(arrow_breaks(&[package, engine]).len(), 1);
    }

    #[test]
    fn licences_pass_by_alternative() {
        for (expression, passes) in [
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("GPL-3.0-only", false),
            ("MIT AND GPL-2.0", false),
            ("", false),
        ] {
            assert_eq!(licence_passes(expression), passes, "{expression}");
        }
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_a_break_and_in_its_tests_it_is_not() {
        let clock = "let now = std::time::Instant::now();";
        assert_eq!(rust_breaks("crates/engine/src/lib.rs", clock).len(), 1);
        assert!(
            rust_breaks("crates/engine/src/lib.rs", &format!("#[cfg(test)] mod t {{ {clock} }}"))
                .is_empty()
        );
        assert!(rust_breaks("crates/media/src/lib.rs", clock).is_empty());
    }
}
