//! Direct scoring: a pair, or frames as they come, scored while the caller waits.
//!
//! [`Server::start`] serves it over gRPC and HTTP; a program that has listeners of its own, such as
//! the node, takes [`Direct`] and puts [`Direct::grpc`] among its services. There is no queue and no
//! store: what is not answered is not kept.
//!
//! Invariants: no more runs at once than there are slots, each until its threads are gone; no more
//! requests wait than may; whoever gets no slot hears it at once, with the time to wait; a caller
//! that leaves, or whose time is over, ends its run, read or unread; memory follows slots, pictures,
//! the bytes of answers that [may lie unread](UNREAD_BYTES_MAX_DEFAULT), and
//! the tables of runs, which take one row a scored frame and no more than
//! [`engine::TABLE_BYTES_MAX`] for a stream.

mod admission;
mod answers;
mod config;
mod decoders;
mod direct;
mod grpc;
mod http;
mod meter;
mod pieces;
mod server;
mod stream;
mod unread;

pub use admission::{Held, RETRY_AFTER_MAX, RETRY_AFTER_MIN, Slots};
pub use answers::FRAMES_IN_A_ROW_MAX;
pub use config::{Args, Config, ConfigError, EXIT_CODES, WAITING_MAX_DEFAULT, WAITING_MAX_LIMIT};
pub use decoders::codecs;
pub use direct::{Callers, Direct, DirectConfig, FRAME_VALUES_MAX};
pub use grpc::{Face, REQUEST_BYTES_MAX, ScoringService, methods};
pub use server::{Server, ServerHandle, StartError};
pub use stream::FIRST_MESSAGE_WAIT;
pub use unread::{UNREAD_BYTES_LIMIT, UNREAD_BYTES_MAX_DEFAULT};
