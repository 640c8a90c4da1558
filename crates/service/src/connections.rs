//! Bounds on connections, whoever opens them: how many there may be, and how long one may take to
//! say what it wants.
//!
//! Neither hyper nor tonic bounds these by itself. Without bounds, whoever reaches a listener can
//! use up the process's files with connections that say nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use futures_core::Stream;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tower_service::Service;

/// The pause after a connection could not be accepted: the process has no file left, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What an HTTP/2 client sends before anything else.
const PREFACE_BYTES: usize = 24;

/// The bounds of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once. More wait, unaccepted, until there is room.
    pub connections_max: usize,
    /// How long the head of a request, or the preface of HTTP/2, may take.
    pub head_wait_max: Duration,
}

impl Bounds {
    /// For the HTTP face: people, probes, scrapers. An idle connection is kept as long as a head may
    /// take.
    pub const HTTP: Self = Self { connections_max: 1_024, head_wait_max: Duration::from_secs(30) };
    /// For the gRPC face: every node holds one or two.
    pub const GRPC: Self = Self { connections_max: 8_192, head_wait_max: Duration::from_secs(10) };
}

/// Accepts connections within bounds.
struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Door {
    fn new(listener: TcpListener, bounds: Bounds) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(bounds.connections_max)) }
    }

    /// The next connection, once there is room for it; its place is kept with the permit. `None`
    /// never comes: the semaphore is not closed.
    ///
    /// Cancel safe.
    async fn next(&self) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.room).acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection keeps its delay");
                    }
                    return Some((stream, peer, permit));
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The connection was gone before it was there: nothing to wait for.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Serves HTTP until `stop`, and then until the requests in flight are answered. Handlers find who
/// calls as [`ConnectInfo`].
pub async fn serve_http(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let (door, connections) = (Door::new(listener, bounds), TaskTracker::new());
    loop {
        let next = tokio::select! {
            next = door.next() => next,
            () = stop.cancelled() => break,
        };
        let Some((stream, peer, permit)) = next else { break };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            serve_one(stream, peer, router, bounds.head_wait_max, stop).await;
            drop(permit);
        });
    }
    drop(door);
    connections.close();
    connections.wait().await;
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_wait_max: Duration,
    stop: CancellationToken,
) {
    let spoke = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&spoke);
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            said.store(true, Ordering::Relaxed);
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = router.clone();
            async move { Service::call(&mut router, request).await }
        });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_wait_max);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // Which version of HTTP it is to be is read without a time limit of its own.
    let mut first_head = pin!(tokio::time::sleep(head_wait_max));
    let (mut waits, mut stopping) = (true, false);
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, %peer, "an HTTP connection broke");
                }
                return;
            }
            () = first_head.as_mut(), if waits => {
                waits = false;
                if !spoke.load(Ordering::Relaxed) {
                    tracing::debug!(%peer, "an HTTP connection that said nothing is closed");
                    return;
                }
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The connections of a gRPC face, for tonic.
pub(crate) fn incoming(
    listener: TcpListener,
    bounds: Bounds,
) -> impl Stream<Item = io::Result<Admitted>> {
    let door = Door::new(listener, bounds);
    async_stream::stream! {
        while let Some((stream, _, permit)) = door.next().await {
            yield Ok(Admitted::new(stream, permit, bounds.head_wait_max));
        }
    }
}

/// A connection that has its place, and some time to begin.
#[derive(Debug)]
pub(crate) struct Admitted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    /// Bytes of the preface that have not come, and until when they must.
    beginning: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Admitted {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit, wait: Duration) -> Self {
        let beginning = Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(wait))));
        Self { stream, _permit: permit, beginning }
    }
}

impl Connected for Admitted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some((missing, until)) = &mut self.beginning else { return read };
        let come = buffer.filled().len() - before;
        if come >= *missing {
            self.beginning = None;
            return read;
        }
        *missing -= come;
        if read.is_ready() {
            return read;
        }
        ready!(until.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "it says nothing")))
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const TIGHT: Bounds = Bounds { connections_max: 2, head_wait_max: Duration::from_millis(300) };

    async fn http() -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(who));
        (addr, stop.clone(), tokio::spawn(serve_http(listener, router, TIGHT, stop)))
    }

    async fn say(stream: &mut TcpStream, text: &str) {
        stream.write_all(text.as_bytes()).await.expect("sent");
    }

    /// What comes until the other side has nothing more to say.
    async fn to_the_end(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await;
        // Closed with something unread, a connection may be reset.
        let _ = read.expect("it is closed");
        String::from_utf8(text).expect("text")
    }

    const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn requests_are_served_and_know_who_calls() {
        let (addr, stop, served) = http().await;
        let mut stream = TcpStream::connect(addr).await.expect("connected");
        let me = stream.local_addr().expect("an address").to_string();
        say(&mut stream, ASK).await;
        assert!(to_the_end(&mut stream).await.ends_with(&me));
        stop.cancel();
        tokio::time::timeout(SOON, served).await.expect("it stops").expect("no panic");
    }

    #[tokio::test]
    async fn whoever_does_not_say_what_is_wanted_is_shown_out_and_others_get_the_room() {
        let (addr, ..) = http().await;
        let mut silent = TcpStream::connect(addr).await.expect("connected");
        let mut slow = TcpStream::connect(addr).await.expect("connected");
        say(&mut slow, "GET / HTTP/1.1\r\nx-never").await;
        // There is room for two: this one is taken when one of them has gone.
        let mut third = TcpStream::connect(addr).await.expect("in the backlog");
        say(&mut third, ASK).await;
        let asked = std::time::Instant::now();
        assert!(to_the_end(&mut third).await.starts_with("HTTP/1.1 200"));
        assert!(asked.elapsed() >= TIGHT.head_wait_max / 2, "it had to wait");
        assert_eq!(to_the_end(&mut silent).await, "");
        let told = to_the_end(&mut slow).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
    }

    #[tokio::test]
    async fn the_start_of_http_2_may_not_be_dribbled_either() {
        let (addr, ..) = http().await;
        let mut dribbling = TcpStream::connect(addr).await.expect("connected");
        say(&mut dribbling, "PRI * HTT").await;
        assert_eq!(to_the_end(&mut dribbling).await, "");
    }

    #[tokio::test]
    async fn a_grpc_connection_begins_in_time_or_ends_and_gives_its_place_to_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let bounds = Bounds { connections_max: 1, ..TIGHT };
        let mut incoming = Box::pin(incoming(listener, bounds));
        let mut next = async || {
            let next = std::future::poll_fn(|cx| incoming.as_mut().poll_next(cx)).await;
            next.expect("no end").expect("accepted")
        };
        let _silent = TcpStream::connect(addr).await.expect("connected");
        let mut first = next().await;
        let error = tokio::time::timeout(SOON, first.read_u8()).await.expect("in time");
        assert_eq!(error.expect_err("nothing came").kind(), io::ErrorKind::TimedOut);
        let mut talking = TcpStream::connect(addr).await.expect("in the backlog");
        let no_room = tokio::time::timeout(TIGHT.head_wait_max, next()).await;
        assert!(no_room.is_err(), "the first has its place still");
        drop(first);
        let mut second = tokio::time::timeout(SOON, next()).await.expect("room");
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        say(&mut talking, preface).await;
        let mut heard = vec![0; preface.len()];
        second.read_exact(&mut heard).await.expect("heard");
        // From now on it may be silent: HTTP/2 has pings for that.
        let silence = tokio::time::timeout(TIGHT.head_wait_max * 2, second.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
    }
}
