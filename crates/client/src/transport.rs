//! What every call goes through on its way to the connection.

use tonic::transport::Channel;

use crate::config::ClientConfig;

/// The connection with its layers.
pub(crate) type Transport = Channel;

pub(crate) fn transport(channel: Channel, _config: &ClientConfig) -> Transport {
    channel
}
