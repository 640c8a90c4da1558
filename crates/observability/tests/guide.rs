//! The guide says what the code does.

use std::path::Path;

use observability::{config, schema};

/// What stands between the markers of `section`.
fn generated(section: &str) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/development/observability.md");
    let guide = std::fs::read_to_string(path).expect("the guide");
    let (begin, end) = (format!("<!-- {section}:begin -->\n"), format!("<!-- {section}:end -->"));
    let (_, rest) = guide.split_once(&begin).expect("its begin");
    let (text, _) = rest.split_once(&end).expect("its end");
    text.to_owned()
}

#[test]
fn the_reference_in_the_guide_is_what_the_schema_says() {
    assert!(
        generated("reference") == schema::to_markdown(),
        "the reference in the guide is out of date: run `cargo xtask schema`"
    );
}

#[test]
fn the_environment_table_in_the_guide_is_what_the_code_declares() {
    assert!(
        generated("environment") == config::variables_markdown(),
        "put the output of `cargo run -p observability --example environment_table` into the guide"
    );
}

#[test]
fn every_variable_is_acted_on_by_a_module_that_exists() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert!(config::VARIABLES.len() > 40);
    for variable in config::VARIABLES {
        let module = sources.join(variable.by.replace("::", "/")).with_extension("rs");
        assert!(module.is_file(), "{:?} names {}", variable.names, variable.by);
    }
}
