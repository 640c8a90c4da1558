//! Keeps the node's session: registers, holds the work stream open, shows that the node lives.
//!
//! One task, on the runtime, never on a thread that computes. Whatever breaks, it tries again with
//! jittered waits, and re-attaches to the same session with everything the node has in hand, so
//! that a lost connection costs no work.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use client::{Backoff, ClientError, WorkStream};
use proto::ErrorKind;
use proto::rpc::SignOfLife;
use tokio::sync::watch;
use tokio::time::Instant;
use types::{Lease, NodeStatus, Registered, ReportAnswer, StopReason, ToNode};
use vmafx_server::Held;

use crate::attempt;
use crate::clock::{boot_time, micros};
use crate::hands::{Cause, Taken};
use crate::shared::Shared;

/// The ceiling of the first wait between tries: well within the grace that a lost stream has.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// The ceiling of every wait between tries.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often progress is shown while something runs.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// An acknowledgement older than the lease divided by this is asked for while something is in hand:
/// it must be new enough when the attempt ends.
const ACKNOWLEDGE_DIVISOR: u32 = 3;

/// The same with empty hands: an answer that is late then costs no more than a lease that is handed
/// back, and of an idle node the controller hears, and answers, nothing else.
const ACKNOWLEDGE_DIVISOR_IDLE: u32 = 2;

/// Why a work stream ended.
#[derive(Debug)]
enum Ended {
    /// The controller wants a new one; or it closed this one in good order.
    Reconnect,
    /// The session is no longer known.
    SessionLost,
    /// The connection broke.
    Broken(ClientError),
}

/// Keeps the session until the node leaves.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let leaving = shared.leaving.clone();
    tokio::select! {
        () = leaving.cancelled() => {}
        () = keep_on(&shared) => {}
    }
    shared.connected.store(false, Ordering::Relaxed);
}

async fn keep_on(shared: &Arc<Shared>) {
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    let mut complained = false;
    loop {
        let error = match hold(shared, &mut backoff).await {
            Ok(Ended::Reconnect) => continue,
            Ok(Ended::SessionLost) => {
                tracing::warn!(
                    node = %shared.node_id,
                    "the session has ended; registering again (should this repeat, another process uses the node's name)"
                );
                complained = false;
                None
            }
            Ok(Ended::Broken(error)) => {
                complained = false;
                Some(error)
            }
            Err(error) => Some(error),
        };
        let wait = backoff.next_wait();
        if let Some(error) = error {
            if std::mem::replace(&mut complained, true) {
                tracing::debug!(%error, ?wait, "the controller is still away");
            } else {
                tracing::warn!(%error, "the controller is away; trying again until it is back");
            }
        }
        tokio::time::sleep(wait).await;
    }
}

/// Gets a session where there is none, opens the work stream and serves it until it ends.
async fn hold(shared: &Arc<Shared>, backoff: &mut Backoff) -> Result<Ended, ClientError> {
    let known = shared.session.borrow().clone();
    let session = match known {
        Some(session) => session,
        None => register(shared).await?,
    };
    // What the old stream held unread is gone; from here on the status is the whole truth.
    let sent_at = boot_time();
    let first = sign(shared, &session, shared.status());
    let stream = match shared.client.work(first.clone()).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::UnknownSession => {
            shared.lose_session(&session);
            return Ok(Ended::SessionLost);
        }
        Err(error) => return Err(error),
    };
    shared.acknowledged.at(sent_at);
    shared.connected.store(true, Ordering::Relaxed);
    tracing::info!(node = %shared.node_id, session = %session.session, "connected");
    let opened = Instant::now();
    shared.lane.open(stream.reporter());
    let ended = Serving::new(shared, &session, first.status).run(stream).await;
    shared.lane.close();
    shared.connected.store(false, Ordering::Relaxed);
    if opened.elapsed() >= session.liveness_interval {
        backoff.reset();
    }
    if matches!(ended, Ended::SessionLost) {
        shared.lose_session(&session);
    }
    Ok(ended)
}

async fn register(shared: &Arc<Shared>) -> Result<Registered, ClientError> {
    let sent_at = boot_time();
    let registered = shared.client.register(shared.registration()).await?;
    shared.acknowledged.at(sent_at);
    shared.session.send_replace(Some(registered.clone()));
    Ok(registered)
}

fn sign(shared: &Shared, session: &Registered, status: NodeStatus) -> SignOfLife {
    SignOfLife { session: session.session, incarnation: shared.incarnation, status }
}

/// A work stream that is being served.
struct Serving<'a> {
    shared: &'a Arc<Shared>,
    session: &'a Registered,
    last_status: NodeStatus,
    last_sent: Instant,
    last_look: Instant,
    sessions: watch::Receiver<Option<Registered>>,
    /// How many slots direct scoring holds.
    direct: watch::Receiver<Held>,
}

/// What is next.
enum Event {
    Message(Result<Option<ToNode>, ClientError>),
    Look,
    Sooner,
    Draining,
    SessionLost,
}

impl<'a> Serving<'a> {
    fn new(shared: &'a Arc<Shared>, session: &'a Registered, sent: NodeStatus) -> Self {
        let now = Instant::now();
        let sessions = shared.session.subscribe();
        let direct = shared.direct_slots.held();
        Self {
            shared,
            session,
            last_status: sent,
            last_sent: now,
            last_look: now,
            sessions,
            direct,
        }
    }

    async fn run(mut self, mut stream: WorkStream) -> Ended {
        loop {
            let event = self.next(&mut stream).await;
            let ended = match event {
                Event::Message(Ok(Some(message))) => self.take(message),
                Event::Message(Ok(None)) => Some(Ended::Broken(closed(self.shared))),
                Event::Message(Err(error)) => Some(broken(error)),
                Event::Look => {
                    self.look(&stream);
                    None
                }
                Event::Sooner => None,
                Event::Draining => {
                    self.send(&stream, self.shared.status());
                    None
                }
                Event::SessionLost => Some(Ended::SessionLost),
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    async fn next(&mut self, stream: &mut WorkStream) -> Event {
        let due = self.last_sent + self.session.liveness_interval;
        // Slots that direct scoring took or gave back are news like progress is.
        let is_news = !self.shared.hands.is_empty() || self.direct.has_changed().unwrap_or(false);
        let look = match is_news {
            false => due,
            true => due.min(self.last_look + PROGRESS_INTERVAL),
        };
        let drain_is_news = !self.last_status.draining;
        if look <= Instant::now() {
            return Event::Look;
        }
        let sessions = &mut self.sessions;
        let mut direct = self.direct.clone();
        let direct_is_news = !is_news;
        tokio::select! {
            // What has come goes first: the other ways to wake are set up only to wait.
            biased;
            message = stream.next() => Event::Message(message),
            () = self.shared.hands.draining(), if drain_is_news => Event::Draining,
            _ = sessions.wait_for(Option::is_none) => Event::SessionLost,
            // Seen by the next look, which this brings forward.
            Ok(()) = direct.changed(), if direct_is_news => Event::Sooner,
            () = tokio::time::sleep_until(look) => Event::Look,
        }
    }

    /// Sends a sign of life if one is due or there is progress to show.
    fn look(&mut self, stream: &WorkStream) {
        let now = Instant::now();
        self.last_look = now;
        self.direct.mark_unchanged();
        let status = self.shared.status();
        if now >= self.last_sent + self.session.liveness_interval || status != self.last_status {
            self.send(stream, status);
        }
    }

    /// Sends a sign of life; asks for it to be acknowledged where the last answer is old, or would be
    /// too old by the next.
    fn send(&mut self, stream: &WorkStream, status: NodeStatus) {
        let now = boot_time();
        let divisor = match status.running.is_empty() {
            true => ACKNOWLEDGE_DIVISOR_IDLE,
            false => ACKNOWLEDGE_DIVISOR,
        };
        let (lease, interval) = (self.session.lease, self.session.liveness_interval);
        let old = self.shared.acknowledged.age(now) >= lease / divisor
            || self.shared.is_fenced_after(lease, interval);
        stream.send(status.clone(), if old { micros(now) } else { 0 });
        self.last_status = status;
        self.last_sent = Instant::now();
    }

    /// Does what the controller says; tells when that ends the stream.
    fn take(&self, message: ToNode) -> Option<Ended> {
        match message {
            ToNode::Lease(lease) => self.lease(*lease),
            ToNode::Stop { part, fence, reason } => {
                let cause = match reason {
                    StopReason::Cancelled => Cause::Cancelled,
                    StopReason::LeaseLost => Cause::LeaseLost,
                };
                tracing::info!(%part, %fence, ?cause, "attempt stopped by the controller");
                self.shared.hands.stop((part, fence), cause);
            }
            ToNode::Reported { part, fence, answer } => {
                let key = (part, fence);
                if answer == Some(ReportAnswer::UnknownSession) {
                    // Before the answer is passed on: the report waits for the next session.
                    self.shared.lose_session(self.session);
                    self.shared.lane.answered(key, answer);
                    return Some(Ended::SessionLost);
                }
                // First, so that a node that leaves once its hands are empty finds the answer there
                // and forgets what it kept on disk.
                self.shared.lane.answered(key, answer);
                if answer.is_some() {
                    // Before the next lease is taken, which follows at once.
                    self.shared.hands.put_down(key);
                }
            }
            ToNode::Acknowledged(sent_at) => {
                self.shared.acknowledged.at(Duration::from_micros(sent_at));
            }
            ToNode::Reregister => return Some(Ended::SessionLost),
            ToNode::Reconnect => return Some(Ended::Reconnect),
            ToNode::Drain => {
                tracing::info!("the controller asks for a drain");
                self.shared.hands.drain();
                self.shared.asked_to_leave.cancel();
            }
        }
        None
    }

    fn lease(&self, lease: Lease) {
        let Taken::New(in_hand) = self.shared.hands.take((lease.part, lease.fence)) else {
            return;
        };
        if self.shared.is_fenced(self.session.lease) {
            tracing::warn!(part = %lease.part, "a lease that may have run out is handed back");
            in_hand.stop(Cause::Released);
        }
        attempt::spawn(self.shared, lease, in_hand);
    }
}

fn broken(error: ClientError) -> Ended {
    match error.kind() {
        ErrorKind::UnknownSession => Ended::SessionLost,
        _ => Ended::Broken(error),
    }
}

/// The controller closed the stream without a word: perhaps another stream took its place.
fn closed(shared: &Shared) -> ClientError {
    ClientError::Refused {
        call: "PullWork",
        address: shared.client.address().into(),
        answer: proto::ApiError::new(ErrorKind::Unavailable, "the work stream was closed"),
    }
}
