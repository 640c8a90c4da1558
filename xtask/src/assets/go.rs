//! What is built from Go modules: the OpenTelemetry Collector by its own builder, kubeconform and
//! kustomize. Go itself checks every module against its checksums.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::made_once;
use crate::command;

/// A program in a Go module.
pub(super) struct Program {
    package: &'static str,
    version: &'static str,
    binary: &'static str,
}

/// Checks manifests against the schemas of Kubernetes.
pub(super) const KUBECONFORM: Program = Program {
    package: "github.com/yannh/kubeconform/cmd/kubeconform",
    version: "v0.8.0",
    binary: "kubeconform",
};

/// Puts manifests together as `kubectl apply -k` does.
pub(super) const KUSTOMIZE: Program = Program {
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    version: "v5.8.1",
    binary: "kustomize",
};

/// Writes the sources of a Collector; its version is the Collector's.
const BUILDER: Program = Program {
    package: "go.opentelemetry.io/collector/cmd/builder",
    version: "v0.155.0",
    binary: "builder",
};

/// Says what to install where Go is missing.
pub(super) fn check() -> Result<(), String> {
    if command::answers("go", "version") {
        return Ok(());
    }
    Err("Go is missing: 1.26 or newer builds the OpenTelemetry Collector, kubeconform and \
         kustomize; install it and run again"
        .to_owned())
}

/// Builds a program, unless that version lies there already.
pub(super) fn install(program: &Program, folder: &Path) -> Result<PathBuf, String> {
    let bin = folder.join(format!("go-bin/{}-{}", program.binary, program.version));
    let binary = bin.join(program.binary);
    if !binary.exists() {
        let mut go = Command::new("go");
        go.args(["install", "-trimpath", "-ldflags=-s -w"])
            .arg(format!("{}@{}", program.package, program.version))
            .env("GOBIN", &bin)
            .env("CGO_ENABLED", "0");
        command::run(go)?;
    }
    Ok(binary)
}

/// Builds the Collector of `deploy/collector/builder.yaml`, with the module versions locked there.
pub(super) fn collector(folder: &Path) -> Result<PathBuf, String> {
    let recipe = command::workspace_root().join("deploy/collector");
    let manifest = recipe.join("builder.yaml");
    let locks = ["go.mod", "go.sum"].map(|name| (name, recipe.join("lock").join(name)));
    let target = folder.join("otelcol");
    let inputs = [manifest.as_path(), &locks[0].1, &locks[1].1];
    made_once(&target, &inputs, || {
        let mut builder = Command::new(install(&BUILDER, folder)?);
        builder.arg("--config").arg(&manifest);
        builder.args(["--skip-get-modules", "--skip-compilation"]);
        command::run_in(folder, builder)?;
        for (name, lock) in &locks {
            std::fs::copy(lock, target.join(name))
                .map_err(|error| format!("cannot copy {}: {error}", lock.display()))?;
        }
        let mut go = Command::new("go");
        go.args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", "otelcol", "."])
            .env("CGO_ENABLED", "0");
        command::run_in(&target, go)
    })?;
    Ok(target.join("otelcol"))
}
