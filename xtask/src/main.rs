//! Workspace chores: `cargo xtask test` sets up what the tests need and runs every check there is.

mod assets;
mod bench;
mod command;
mod fuzz;
mod tests_run;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [STEP ...]   set up what the tests need, then run: fmt, clippy, tidy, build, test
                    (all of them, or only the steps named); ends with the totals
  setup             only set up: download and check what the tests need
  bench [queue|engine|tune|telemetry] [FLAG ...]
                    build in release and run the benchmarks (see bench/README.md); --quick for
                    a first look
  fuzz [SECONDS [SEED]]
                    random pictures and requests against the plain way and across instruction
                    sets, for so many seconds each [default: 60] from a new seed
  tidy              only the rules that no compiler checks: arrows, purity, licences, links
  schema            rewrite the reference of all telemetry names, in docs/development
  golden DIR        rewrite the golden values from the logs in DIR (see crates/engine/golden/README.md)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", steps @ ..] => tests_run::run(steps),
        ["setup"] => assets::set_up().map(|_| ()),
        ["tidy"] => tidy::run(),
        ["bench", arguments @ ..] => bench::run(arguments),
        ["fuzz", arguments @ ..] if arguments.len() <= 2 => fuzz::run(arguments),
        ["schema"] => command::cargo(&[
            "run",
            "--quiet",
            "--package",
            "observability",
            "--example",
            "schema_reference",
        ]),
        ["golden", directory] => command::cargo(&[
            "run",
            "--release",
            "--package",
            "engine",
            "--example",
            "golden_collect",
            "--",
            directory,
        ]),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
