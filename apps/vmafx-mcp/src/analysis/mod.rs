//! Arithmetic on pictures and scores, apart from files, jobs and the protocol.

pub(crate) mod align;
pub(crate) mod bootstrap;
pub(crate) mod recommend;
pub(crate) mod render;
pub(crate) mod thumbnail;
pub(crate) mod worst;
