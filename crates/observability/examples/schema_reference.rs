//! Writes what is generated from the definitions of all names: the reference in the guide and the
//! registry beside it. `cargo xtask schema` runs it; with an argument it writes below that folder
//! instead of `docs/development`.

use std::error::Error;
use std::path::PathBuf;

use observability::schema;

const BEGIN: &str = "<!-- reference:begin -->\n";
const END: &str = "<!-- reference:end -->";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/development"),
        PathBuf::from,
    );
    let guide_path = folder.join("observability.md");
    let guide = std::fs::read_to_string(&guide_path)?;
    let (before, rest) = guide.split_once(BEGIN).ok_or("the guide has no reference:begin")?;
    let (_, after) = rest.split_once(END).ok_or("the guide has no reference:end")?;
    let reference = schema::to_markdown();
    std::fs::write(&guide_path, format!("{before}{BEGIN}{reference}{END}{after}"))?;
    let registry = folder.join("registry");
    std::fs::create_dir_all(&registry)?;
    for file in schema::registry_files() {
        std::fs::write(registry.join(file.name), file.content)?;
    }
    Ok(())
}
