//! The way of one signal: to a collector, to the console, or to both; what became of each item is
//! counted.

use std::time::Duration;

use http::Uri;
use opentelemetry_proto::tonic::resource::v1::Resource;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::dispatcher::{self, Dispatch};
use tracing::{info, warn};

use super::encode::Item;
use super::transport::Transport;
use super::{console, tls};
use crate::config::{OtlpConfig, ResourceConfig};
use crate::metrics::{DropReason, Label as _, Metrics, Signal};

/// Where a signal goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// The collector, and what an encrypted way to it needs.
    pub(crate) otlp: Option<(OtlpConfig, Option<ClientConfig>)>,
    /// Whether it is written to stderr.
    pub(crate) console: bool,
}

/// What all signals of a process share.
pub(super) struct Common {
    pub(super) resource: Resource,
    pub(super) metrics: Metrics,
    /// The log output of the process; the thread's own is silent.
    pub(super) logs: Dispatch,
    pub(super) stop: watch::Receiver<Option<Instant>>,
}

impl Common {
    pub(super) fn new(
        resource: &ResourceConfig,
        metrics: &Metrics,
        logs: &Dispatch,
        stop: &watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            resource: super::encode::resource(resource),
            metrics: metrics.clone(),
            logs: logs.clone(),
            stop: stop.clone(),
        }
    }
}

/// The collector of one signal.
struct Collector {
    config: OtlpConfig,
    transport: Transport,
    timeout: Duration,
}

/// Sends the messages of one signal.
pub(super) struct Sender {
    signal: Signal,
    common: Common,
    collector: Option<Collector>,
    console: bool,
    failing: bool,
    refusing: bool,
    /// What is being sent is kept by whoever gave it: a failure loses nothing.
    keeps: bool,
}

impl Sender {
    /// Called within the runtime, which the connections belong to.
    pub(super) fn new(signal: Signal, route: Route, timeout: Duration, common: Common) -> Self {
        let collector = route.otlp.map(|(config, tls)| Collector {
            transport: Transport::new(&config, tls),
            timeout: config.timeout.min(timeout),
            config,
        });
        let console = route.console;
        Self { signal, common, collector, console, failing: false, refusing: false, keeps: false }
    }

    /// As [`send`](Self::send), of what its giver keeps and sends again: a failure is no loss.
    pub(super) async fn send_kept<T: Item>(&mut self, items: Vec<T>) -> Result<u64, String> {
        self.keeps = true;
        let outcome = self.send(items).await;
        self.keeps = false;
        outcome
    }

    /// Sends one message within its time and before the end, and counts what became of it. Says
    /// how much of it was taken, or why nothing was.
    pub(super) async fn send<T: Item>(&mut self, items: Vec<T>) -> Result<u64, String> {
        let weight: u64 = items.iter().map(Item::weight).sum();
        if self.console {
            let written = console::write(&self.common.resource, &items);
            if self.collector.is_none() {
                match written {
                    Ok(()) => self.telemetry().exported(self.signal, weight),
                    // Whoever would read a complaint reads the same stream.
                    Err(_) => self.drop_items(DropReason::ExportFailed, weight),
                }
                return Ok(weight);
            }
        }
        let Some(collector) = &mut self.collector else { return Ok(weight) };
        let resource = &self.common.resource;
        let outcome = tokio::select! {
            sent = collector.transport.send(resource, items) => {
                sent.map_err(|error| error.to_string())
            }
            () = sleep(collector.timeout) => {
                Err(format!("no answer within {:?}", collector.timeout))
            }
            () = deadline(&mut self.common.stop) => Err("the process ends".to_owned()),
        };
        match outcome {
            Ok(rejected) => {
                let (refused, why) = rejected.unwrap_or_default();
                let refused = refused.min(weight);
                self.taken(weight, refused, &why);
                Ok(weight - refused)
            }
            Err(error) => {
                self.failed(weight, &error);
                Err(error)
            }
        }
    }

    fn taken(&mut self, weight: u64, refused: u64, why: &str) {
        self.telemetry().exported(self.signal, weight - refused);
        self.drop_items(DropReason::Rejected, refused);
        let (signal, endpoint) = (self.signal.as_str(), self.endpoint());
        if std::mem::replace(&mut self.failing, false) {
            self.say(|| info!(signal, endpoint, "otel: export works again"));
        }
        let refuses = refused > 0 || !why.is_empty();
        if !std::mem::replace(&mut self.refusing, refuses) && refuses {
            self.say(|| {
                warn!(
                    signal,
                    refused,
                    why,
                    "otel: the collector refused part of a message; further ones are counted, \
                     not logged"
                );
            });
        }
    }

    /// Logs the first of a row of failures; the metrics count them all.
    fn failed(&mut self, weight: u64, error: &str) {
        let reason = if self.is_over() { DropReason::Shutdown } else { DropReason::ExportFailed };
        if !self.keeps {
            self.drop_items(reason, weight);
        }
        if !std::mem::replace(&mut self.failing, true) {
            let (signal, endpoint) = (self.signal.as_str(), self.endpoint());
            self.say(|| {
                warn!(
                    signal,
                    endpoint,
                    error,
                    "otel: export failed; further failures are counted, not logged"
                );
            });
        }
        self.renew();
    }

    /// Starts over with new connections: the old ones may lead to a host that is no more, which
    /// gRPC would notice only after many minutes. Takes up certificates that were replaced
    /// meanwhile; where they cannot be used, the old ones stay.
    fn renew(&mut self) {
        if let Some(collector) = &mut self.collector
            && let Ok(tls) = tls::client_config(&collector.config)
        {
            collector.transport = Transport::new(&collector.config, tls);
        }
    }

    /// Logs for the process: this thread is silent otherwise.
    fn say(&self, line: impl FnOnce()) {
        dispatcher::with_default(&self.common.logs, line);
    }

    pub(super) fn drop_items(&self, reason: DropReason, items: u64) {
        self.telemetry().dropped(self.signal, reason, items);
    }

    fn telemetry(&self) -> &crate::metrics::TelemetryMetrics {
        self.common.metrics.telemetry()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.common.metrics
    }

    pub(super) fn stop(&self) -> watch::Receiver<Option<Instant>> {
        self.common.stop.clone()
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether the deadline of the end has passed.
    pub(super) fn is_over(&self) -> bool {
        self.common.stop.borrow().is_some_and(|deadline| deadline <= Instant::now())
    }

    fn endpoint(&self) -> String {
        self.collector.as_ref().map(|at| shown(&at.config.endpoint)).unwrap_or_default()
    }
}

/// An endpoint as the logs show it: without a query, which may hold a key.
fn shown(endpoint: &Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or_default();
    let authority = endpoint.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    format!("{scheme}://{authority}{}", endpoint.path())
}

/// Waits until the end has come.
async fn deadline(stop: &mut watch::Receiver<Option<Instant>>) {
    match stop.wait_for(Option::is_some).await.map(|deadline| *deadline) {
        Ok(Some(at)) => sleep_until(at).await,
        // The handle is gone without a word: nobody waits, and the timeout still holds.
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_what_may_be_a_key() {
        for (endpoint, text) in [
            ("https://c:4318/v1/traces?api-key=secret", "https://c:4318/v1/traces"),
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317/"),
        ] {
            assert_eq!(shown(&endpoint.parse().expect("a URL")), text);
        }
    }
}
