//! Where the queue keeps its data.
//!
//! [`SqliteStore`] is the embedded store. [`conformance`] is the suite that every store must pass,
//! whatever database it stands on. No decision is made here: [`control`] decides, a store makes it
//! durable.

pub mod codec;
pub mod conformance;
mod sqlite;

pub use sqlite::{DiskTimes, SqliteConfig, SqliteReader, SqliteStore};
