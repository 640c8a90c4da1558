//! Prints the table of environment variables, as it stands in `docs/development/observability.md`.

fn main() {
    print!("{}", observability::config::variables_markdown());
}
