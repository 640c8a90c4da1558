//! The JSON schemas of Kubernetes' kinds, in the layout that kubeconform reads.
//!
//! They come from the `kubernetes-validate` wheel, whose files refer to each other by addresses
//! below `https://kubernetes.io`. Here they refer to the file beside them, so that checking a
//! manifest needs no network.

use std::path::{Path, PathBuf};

use super::made_once;

/// The oldest version that the manifests are written for, and the newest that there is.
const VERSIONS: [&str; 2] = ["1.29.0", "1.37.0"];

/// Where a schema refers to the definitions it shares with the others.
const SHARED: &str = "/api/_definitions.json#";

/// Writes the schemas and gives their folder.
pub(super) fn write(folder: &Path) -> Result<PathBuf, String> {
    let wheel = folder.join("kubernetes-validate/kubernetes_validate/kubernetes-json-schema");
    let target = folder.join("kubernetes-schemas");
    made_once(&target, &[&this_file(), &wheel.join("v1.37.0-local-strict/all.json")], || {
        for version in VERSIONS {
            let from = wheel.join(format!("v{version}-local-strict"));
            convert_all(&from, &target.join(format!("v{version}-standalone-strict")))?;
        }
        Ok(())
    })?;
    Ok(target)
}

/// What the schemas become follows from this file too.
fn this_file() -> PathBuf {
    crate::command::workspace_root().join("xtask/src/assets/schemas.rs")
}

fn convert_all(from: &Path, to: &Path) -> Result<(), String> {
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    std::fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    let entries = std::fs::read_dir(from).map_err(|error| failed(from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed(from, &error))?;
        let path = entry.path();
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        let schema = convert(&text).map_err(|error| failed(&path, &error))?;
        std::fs::write(to.join(entry.file_name()), schema)
            .map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// Takes the schema's address away, and lets it refer to its neighbour.
fn convert(text: &str) -> Result<String, serde_json::Error> {
    let mut schema: serde_json::Value = serde_json::from_str(text)?;
    if let Some(object) = schema.as_object_mut() {
        object.remove("$id");
    }
    Ok(schema.to_string().replace(&format!("\"{SHARED}"), "\"_definitions.json#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_refers_to_the_file_beside_it_and_to_no_address() {
        let text = r##"{"$id": "https://kubernetes.io/api/pod/v1",
            "properties": {"spec": {"$ref": "/api/_definitions.json#/$defs/PodSpec"}}}"##;
        let expected = r##"{"properties":{"spec":{"$ref":"_definitions.json#/$defs/PodSpec"}}}"##;
        assert_eq!(convert(text).expect("it is JSON"), expected);
        assert!(convert("{").is_err());
    }
}
