//! Compiles the `.proto` files with a compiler written in Rust: no `protoc` is needed.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 2] = ["vmafx/controller/v1/controller.proto", "vmafx/v1/scoring.proto"];
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // Pictures are not copied out of the message that they came in.
        .bytes(".vmafx.v1.StreamFrame")
        .compile_fds(descriptors)?;
    Ok(())
}
