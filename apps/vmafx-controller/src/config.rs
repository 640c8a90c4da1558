//! What a controller can be told: by flags, by environment, by defaults. Nothing here does I/O
//! but reading the environment where a default depends on it.
//!
//! Flags go before the environment, the environment before defaults. A value out of its bounds is
//! refused with what is allowed; nothing is ignored.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use service::Open;
use service::settings::{Threshold, parse_duration, parse_listen, parse_threshold};
use thiserror::Error;

use crate::trace_export::TraceRules;

/// Where gRPC listens unless told otherwise.
pub const GRPC_LISTEN_DEFAULT: &str = "127.0.0.1:50051";
/// Where HTTP listens unless told otherwise.
pub const HTTP_LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// The shortest and the longest lease.
pub const LEASE_RANGE: (Duration, Duration) =
    (Duration::from_millis(500), Duration::from_secs(600));
/// The longest time between signs of life is a lease divided by this.
pub const LIVENESS_PER_LEASE_MIN: u32 = 2;
/// The longest that a shutdown waits for calls in flight.
pub const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(300);

/// How a controller is started. [`check`](Self::check) holds for every one that starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where gRPC listens; port 0 takes a free one.
    pub grpc_listen: SocketAddr,
    /// Where HTTP listens; port 0 takes a free one.
    pub http_listen: SocketAddr,
    /// The SQLite file. It and its directory are made where they are missing.
    pub db_path: PathBuf,
    /// How long a lease lasts without a sign of life.
    pub lease: Duration,
    /// How often a node shows that it lives.
    pub liveness_interval: Duration,
    /// How long a node whose stream was lost may take to come back.
    pub stream_grace: Duration,
    /// The wait before the second attempt; it doubles with every further one.
    pub backoff_base: Duration,
    /// The longest wait before an attempt.
    pub backoff_max: Duration,
    /// How many nodes may vanish over one part before its job is failed.
    pub crashes_max: u16,
    /// How old a work stream grows before its node is asked to reconnect, give or take a fifth.
    pub stream_age_max: Duration,
    /// How long a shutdown waits for calls in flight.
    pub shutdown_grace: Duration,
    /// Which jobs' traces are exported at their end although sampling had dropped them.
    pub traces: TraceRules,
    /// An attempt that is leased more than this after it could have been has a trace of its own;
    /// `None` keeps all in the job's.
    pub trace_cut_over: Option<Duration>,
    /// Holds the tokens that callers must present, one a line.
    pub token_file: Option<PathBuf>,
    /// Listens beyond loopback although anybody may call.
    pub insecure: bool,
}

impl Default for Config {
    /// The documented defaults, with a store in the working directory.
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            grpc_listen: loopback(50_051),
            http_listen: loopback(8_080),
            db_path: PathBuf::from("vmafx-controller.db"),
            lease: Duration::from_secs(10),
            liveness_interval: Duration::from_secs(2),
            stream_grace: Duration::from_secs(1),
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            crashes_max: 3,
            stream_age_max: Duration::from_secs(1_800),
            shutdown_grace: Duration::from_secs(10),
            traces: TraceRules::default(),
            trace_cut_over: Some(Duration::from_secs(3_600)),
            token_file: None,
            insecure: false,
        }
    }
}

/// What in a configuration is not allowed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A listener beyond loopback that anybody could call.
    #[error(
        "{0} and no token is asked for: anybody who reaches it could \
         submit and cancel jobs; set VMAFX_TOKEN_FILE, or pass --insecure if that is meant"
    )]
    Insecure(Open),
    /// A duration outside of its bounds.
    #[error("{name} is {value:?}; it must be between {min:?} and {max:?}")]
    Duration {
        /// Which setting.
        name: &'static str,
        /// What it was set to.
        value: Duration,
        /// The least allowed.
        min: Duration,
        /// The most allowed.
        max: Duration,
    },
}

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        let addresses = [self.grpc_listen, self.http_listen];
        if let Some(open) = Open::find(addresses, self.token_file.is_some(), self.insecure) {
            return Err(ConfigError::Insecure(open));
        }
        let ms = Duration::from_millis;
        let liveness_max = self.lease / LIVENESS_PER_LEASE_MIN;
        for (name, value, min, max) in [
            ("lease", self.lease, LEASE_RANGE.0, LEASE_RANGE.1),
            ("liveness interval", self.liveness_interval, ms(50), liveness_max),
            ("stream grace", self.stream_grace, Duration::ZERO, self.lease),
            ("retry backoff", self.backoff_base, ms(1), self.backoff_max),
            ("longest retry backoff", self.backoff_max, ms(1), Duration::from_secs(86_400)),
            ("stream age", self.stream_age_max, ms(100), Duration::from_secs(86_400)),
            ("shutdown grace", self.shutdown_grace, Duration::ZERO, SHUTDOWN_GRACE_MAX),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Duration { name, value, min, max });
            }
        }
        Ok(())
    }
}

/// The command line of `vmafx-controller`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "vmafx-controller",
    version,
    about = "The job queue, scheduler and node registry of VMAFX",
    after_help = EXIT_CODES
)]
pub struct Args {
    /// Address and port of the gRPC listener; without a host, loopback
    #[arg(long, env = "VMAFX_GRPC_LISTEN", default_value = GRPC_LISTEN_DEFAULT, value_parser = parse_listen)]
    pub grpc_listen: SocketAddr,
    /// Address and port of the HTTP listener; without a host, loopback
    #[arg(long, env = "VMAFX_HTTP_ADDR", default_value = HTTP_LISTEN_DEFAULT, value_parser = parse_listen)]
    pub http_listen: SocketAddr,
    /// The SQLite file [default: controller.db below $STATE_DIRECTORY or the XDG state directory]
    #[arg(long = "db", env = "VMAFX_DB_PATH")]
    pub db_path: Option<PathBuf>,
    /// How long a lease lasts without a sign of life
    #[arg(long, env = "VMAFX_STORE_LEASE_TTL", default_value = "10s", value_parser = parse_duration)]
    pub lease: Duration,
    /// How often nodes show that they live
    #[arg(long, env = "VMAFX_LIVENESS_INTERVAL", default_value = "2s", value_parser = parse_duration)]
    pub liveness_interval: Duration,
    /// How long a node whose stream was lost may take to come back
    #[arg(long, env = "VMAFX_STREAM_GRACE", default_value = "1s", value_parser = parse_duration)]
    pub stream_grace: Duration,
    /// The wait before a second attempt; it doubles with every further one
    #[arg(long, env = "VMAFX_STORE_BACKOFF_BASE", default_value = "1s", value_parser = parse_duration)]
    pub backoff_base: Duration,
    /// The longest wait before an attempt
    #[arg(long, env = "VMAFX_STORE_BACKOFF_MAX", default_value = "5m", value_parser = parse_duration)]
    pub backoff_max: Duration,
    /// How many nodes may vanish over one part before its job is failed
    #[arg(long, env = "VMAFX_CRASHES_MAX", default_value = "3", value_parser = clap::value_parser!(u16).range(1..))]
    pub crashes_max: u16,
    /// How old a work stream grows before its node is asked to reconnect, give or take a fifth
    #[arg(long, env = "VMAFX_STREAM_AGE_MAX", default_value = "30m", value_parser = parse_duration)]
    pub stream_age_max: Duration,
    /// How long a shutdown waits for calls in flight
    #[arg(long, env = "VMAFX_SHUTDOWN_GRACE", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,
    /// Export the traces of failed jobs although sampling had dropped them
    #[arg(long, env = "VMAFX_TRACE_FAILED", default_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub trace_failed: bool,
    /// Export the traces of jobs that took longer than this although sampling had dropped them; or off
    #[arg(long, env = "VMAFX_TRACE_SLOWER_THAN", default_value = "30m", value_parser = parse_threshold)]
    pub trace_slower_than: Threshold,
    /// Begin a linked trace with an attempt that is leased this long after it could have been; or off
    #[arg(long, env = "VMAFX_TRACE_CUT_OVER", default_value = "1h", value_parser = parse_threshold)]
    pub trace_cut_over: Threshold,
    /// How many such traces a minute, and at once, are exported at most
    #[arg(long, env = "VMAFX_TRACE_RATE_MAX", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    pub trace_rate_max: u32,
    /// A file with the bearer tokens that callers must present, one a line
    #[arg(long, env = "VMAFX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Listen beyond loopback although no token is asked for
    #[arg(long, env = "VMAFX_INSECURE")]
    pub insecure: bool,
}

/// What the process's exit code says.
pub const EXIT_CODES: &str = "Exit codes:
  0  ended in good order, after SIGTERM or SIGINT
  1  could not start or had to stop: a port in use, a store that cannot be opened
  2  a flag or variable that is not allowed
  130  a second signal cut the shutdown short";

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        Self {
            grpc_listen: args.grpc_listen,
            http_listen: args.http_listen,
            db_path: args.db_path.unwrap_or_else(default_db_path),
            lease: args.lease,
            liveness_interval: args.liveness_interval,
            stream_grace: args.stream_grace,
            backoff_base: args.backoff_base,
            backoff_max: args.backoff_max,
            crashes_max: args.crashes_max,
            stream_age_max: args.stream_age_max,
            shutdown_grace: args.shutdown_grace,
            traces: TraceRules {
                failed: args.trace_failed,
                slower_than: args.trace_slower_than.0,
                per_minute: args.trace_rate_max,
            },
            trace_cut_over: args.trace_cut_over.0,
            token_file: args.token_file,
            insecure: args.insecure,
        }
    }
}

/// Where the store lies unless told otherwise: systemd's state directory, else the user's.
#[must_use]
pub fn default_db_path() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let systemd = var("STATE_DIRECTORY")
        .and_then(|list| std::env::split_paths(&list).next())
        .filter(|dir| dir.is_absolute());
    let xdg = || var("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || var("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let dir = systemd.or_else(|| xdg().or_else(home).map(|dir| dir.join("vmafx")));
    dir.unwrap_or_default().join("controller.db")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn listen(addr: &str) -> Config {
        Config { grpc_listen: addr.parse().expect("an address"), ..Config::default() }
    }

    #[test]
    fn defaults_are_allowed_and_on_loopback() {
        Config::default().check().expect("allowed");
        let args = Config::from(Args::try_parse_from(["vmafx-controller"]).expect("no flags"));
        args.check().expect("allowed");
        assert!(args.grpc_listen.ip().is_loopback() && args.http_listen.ip().is_loopback());
        assert_eq!(args.lease, Config::default().lease);
        assert_eq!(args.backoff_max, Config::default().backoff_max);
        assert_eq!(args.traces, TraceRules::default());
        assert_eq!(args.trace_cut_over, Config::default().trace_cut_over);
    }

    #[test]
    fn beyond_loopback_needs_a_token_or_the_word_that_it_is_meant() {
        let error = listen("0.0.0.0:1").check().expect_err("refused").to_string();
        assert!(error.contains("--insecure") && error.contains("0.0.0.0:1"), "{error}");
        assert!(listen("[::]:1").check().is_err());
        Config { insecure: true, ..listen("0.0.0.0:1") }.check().expect("meant");
        let token_file = Some(PathBuf::from("/t"));
        Config { token_file, ..listen("0.0.0.0:1") }.check().expect("authenticated");
    }

    #[test]
    fn durations_out_of_bounds_are_named() {
        let slow = Config { liveness_interval: Duration::from_secs(9), ..Config::default() };
        let error = slow.check().expect_err("too slow").to_string();
        assert_eq!(error, "liveness interval is 9s; it must be between 50ms and 5s");
    }

    #[test]
    fn traces_after_the_end_are_switched_off_by_a_word() {
        let off = ["vmafx-controller", "--trace-failed=false", "--trace-slower-than=off"];
        let config = Config::from(Args::try_parse_from(off).expect("known flags"));
        assert!(!config.traces.failed && config.traces.slower_than.is_none());
    }
}
