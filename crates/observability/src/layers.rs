//! Tower layers: spans and durations of calls, at the edges of a process.
//!
//! A call is followed from its request to the last byte, or the trailers, of its response, and
//! ends exactly once, also when its future or its body is dropped halfway. One duration goes to
//! the span and to the histogram. Names come from the known methods and route templates only, so
//! that a scan of unknown paths makes one name. Attributes are built only if somebody records.

mod call;
mod grpc;
mod http_client;
mod http_route;
mod http_server;
mod intern;
mod kept;
mod methods;

pub(crate) use grpc::{RpcSide, describe_peer, describe_rpc};

pub use call::{CallBody, CallFuture, ServedCall, ServerSpan};
pub use grpc::{GrpcClient, GrpcClientLayer, GrpcServer, GrpcServerLayer};
pub use http_client::{HttpClient, HttpClientLayer};
pub use http_server::{HttpServer, HttpServerLayer};
pub use methods::{GrpcMethods, Visibility};
