//! Prints the reference of all names, as it stands in `docs/development/observability.md`.

fn main() {
    print!("{}", observability::schema::to_markdown());
}
