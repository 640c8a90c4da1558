//! stub
mod analysis;
mod error;
