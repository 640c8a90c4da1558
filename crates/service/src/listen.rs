//! Where a service listens, and where it does not.

use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

/// An address that anybody who reaches it could call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} is not a loopback address")]
pub struct Open(pub SocketAddr);

impl Open {
    /// The first address that is open: beyond loopback, where callers are not asked who they are
    /// and nobody has said that this is meant.
    #[must_use]
    pub fn find(
        addresses: impl IntoIterator<Item = SocketAddr>,
        is_authenticated: bool,
        is_meant: bool,
    ) -> Option<Self> {
        if is_authenticated || is_meant {
            return None;
        }
        addresses.into_iter().find(|addr| !addr.ip().is_loopback()).map(Self)
    }
}

/// An address cannot be listened on.
#[derive(Debug, Error)]
#[error("{face} cannot listen on {addr}")]
pub struct ListenError {
    /// What was to be served there, such as `gRPC`.
    pub face: &'static str,
    /// The address.
    pub addr: SocketAddr,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Binds an address; port 0 takes a free one. Answers with the address that it became.
///
/// # Errors
/// When it is taken, or not this machine's.
pub async fn bind(
    face: &'static str,
    addr: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    let error = |source| ListenError { face, addr, source };
    let listener = TcpListener::bind(addr).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_needs_a_token_or_the_word_that_it_is_meant() {
        let addresses = ["127.0.0.1:1", "[::1]:1", "0.0.0.0:1", "[::]:1"]
            .map(|text| text.parse::<SocketAddr>().expect("an address"));
        let open = |is_authenticated, is_meant| Open::find(addresses, is_authenticated, is_meant);
        assert_eq!(open(false, false), Some(Open(addresses[2])));
        assert_eq!((open(true, false), open(false, true)), (None, None));
        assert_eq!(Open::find([addresses[0], addresses[1]], false, false), None);
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let (_held, addr) = bind("HTTP", ([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let error = bind("HTTP", addr).await.expect_err("taken");
        assert_eq!(error.to_string(), format!("HTTP cannot listen on {addr}"));
    }
}
