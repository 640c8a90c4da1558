//! Tests of integer ADM through its public face.

mod content;
mod golden;
mod isa;
mod naive;
