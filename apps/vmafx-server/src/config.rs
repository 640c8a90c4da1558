//! What a server can be told: by flags, by environment, by defaults.
//!
//! Flags go before the environment, the environment before defaults. A value out of its bounds is
//! refused with what is allowed; nothing is ignored.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use engine::IsaLevel;
use media::{FfmpegConfig, MediaConfig, SourcePolicy};
use scoring::RunConfig;
use service::Open;
use service::settings::{parse_duration, parse_listen};
use thiserror::Error;

use crate::unread::{UNREAD_BYTES_LIMIT, UNREAD_BYTES_MAX_DEFAULT};

/// Where gRPC listens unless told otherwise.
pub const GRPC_LISTEN_DEFAULT: &str = "127.0.0.1:50051";
/// Where HTTP listens unless told otherwise.
pub const HTTP_LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Requests that may wait for a slot unless told otherwise.
pub const WAITING_MAX_DEFAULT: usize = 64;
/// The most requests that may wait for a slot.
pub const WAITING_MAX_LIMIT: usize = 10_000;
/// Runs at once at most.
pub const SLOTS_MAX: usize = 1_024;
/// Threads of one run at most.
pub const THREADS_MAX: usize = 1_024;
/// Luma samples that a picture may have unless told otherwise: twice those of 8K.
pub const PICTURE_PIXELS_MAX_DEFAULT: NonZeroU64 = NonZeroU64::new(8_192 * 8_192).unwrap();
/// Folders from which videos may be taken.
pub const SOURCE_ROOTS_MAX: usize = 256;
/// The longest that a pair may take, and that a stream may pause.
pub const TIME_LIMIT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The longest that a shutdown waits for runs.
pub const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(300);

/// How a server is started. [`check`](Self::check) holds for every one that starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where gRPC listens; port 0 takes a free one.
    pub grpc_listen: SocketAddr,
    /// Where HTTP listens; port 0 takes a free one.
    pub http_listen: SocketAddr,
    /// Runs at once.
    pub slots: NonZeroUsize,
    /// Threads that compute features, for each run.
    pub threads_per_slot: NonZeroUsize,
    /// Requests that may wait for a slot; beyond that they are sent away.
    pub waiting_max: usize,
    /// Bytes of per-frame values that callers may leave unread, all of them together.
    pub unread_bytes_max: NonZeroUsize,
    /// How long a pair may take, its wait for a slot included.
    pub time_max: Duration,
    /// How long a stream may pause between messages.
    pub stream_idle_max: Duration,
    /// How long a shutdown goes on serving everybody after readiness has turned false.
    pub shutdown_delay: Duration,
    /// How long a shutdown waits for runs.
    pub shutdown_grace: Duration,
    /// Runs at a lower priority than requests are served with.
    pub niced: bool,
    /// The instruction set above which none is used.
    pub isa_limit: IsaLevel,
    /// Folders below which videos and models may lie.
    pub source_roots: Vec<PathBuf>,
    /// Hosts from which videos may be fetched over `https`.
    pub source_hosts: Vec<String>,
    /// Luma samples that a picture may have; memory follows them.
    pub picture_pixels_max: NonZeroU64,
    /// The `ffmpeg` program; `None` looks for one in `PATH`.
    pub ffmpeg: Option<PathBuf>,
    /// Holds the tokens that callers must present, one a line.
    pub token_file: Option<PathBuf>,
    /// Listens beyond loopback although anybody may call.
    pub insecure: bool,
}

impl Default for Config {
    /// The documented defaults: as many slots as processors, one thread each, no source allowed.
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            grpc_listen: loopback(50_051),
            http_listen: loopback(8_080),
            slots: processors(),
            threads_per_slot: NonZeroUsize::MIN,
            waiting_max: WAITING_MAX_DEFAULT,
            unread_bytes_max: UNREAD_BYTES_MAX_DEFAULT,
            time_max: Duration::from_secs(3_600),
            stream_idle_max: Duration::from_secs(60),
            shutdown_delay: Duration::ZERO,
            shutdown_grace: Duration::from_secs(10),
            niced: true,
            isa_limit: IsaLevel::Avx512,
            source_roots: Vec::new(),
            source_hosts: Vec::new(),
            picture_pixels_max: PICTURE_PIXELS_MAX_DEFAULT,
            ffmpeg: None,
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
        "{0} and no token is asked for: anybody who reaches it could have videos scored; set \
         VMAFX_TOKEN_FILE, or pass --insecure if that is meant"
    )]
    Insecure(Open),
    /// A number out of its bounds.
    #[error("{name} is {value}; it may be {max} at most")]
    Count {
        /// Which setting.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// The most allowed.
        max: usize,
    },
    /// A duration out of its bounds.
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
        for (name, value, max) in [
            ("the number of slots", self.slots.get(), SLOTS_MAX),
            ("the number of threads", self.threads_per_slot.get(), THREADS_MAX),
            ("the number of requests that may wait", self.waiting_max, WAITING_MAX_LIMIT),
            ("the bytes that may lie unread", self.unread_bytes_max.get(), UNREAD_BYTES_LIMIT),
            ("the number of source roots", self.source_roots.len(), SOURCE_ROOTS_MAX),
        ] {
            if value > max {
                return Err(ConfigError::Count { name, value, max });
            }
        }
        let ms = Duration::from_millis;
        for (name, value, min, max) in [
            ("the time for a pair", self.time_max, ms(1), TIME_LIMIT),
            ("the pause of a stream", self.stream_idle_max, ms(1), TIME_LIMIT),
            ("the shutdown delay", self.shutdown_delay, Duration::ZERO, SHUTDOWN_GRACE_MAX),
            ("the shutdown grace", self.shutdown_grace, Duration::ZERO, SHUTDOWN_GRACE_MAX),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Duration { name, value, min, max });
            }
        }
        Ok(())
    }

    /// With what each run is done.
    #[must_use]
    pub fn run(&self) -> RunConfig {
        let policy = SourcePolicy::below(self.source_roots.iter().cloned());
        let policy = if self.source_hosts.is_empty() {
            policy
        } else {
            policy.with_urls(["https".to_owned()], self.source_hosts.iter().cloned())
        };
        let ffmpeg = FfmpegConfig { program: self.ffmpeg.clone(), ..FfmpegConfig::default() };
        RunConfig {
            media: MediaConfig {
                policy,
                ffmpeg,
                picture_pixels_max: self.picture_pixels_max.get(),
            },
            threads: self.threads_per_slot,
            niced: self.niced,
            isa_limit: self.isa_limit,
        }
    }
}

fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What the process's exit code says.
pub const EXIT_CODES: &str = "Exit codes:
  0  ended in good order, after SIGTERM or SIGINT
  1  could not start or had to stop: a port in use
  2  a flag or variable that is not allowed
  130  a second signal cut the shutdown short";

/// The command line of `vmafx-server`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "vmafx-server",
    version,
    about = "Direct scoring of VMAFX: no queue, the answer while the caller waits",
    after_help = EXIT_CODES
)]
pub struct Args {
    /// Address and port of the gRPC listener; without a host, loopback
    #[arg(long, env = "VMAFX_GRPC_LISTEN", default_value = GRPC_LISTEN_DEFAULT, value_parser = parse_listen)]
    pub grpc_listen: SocketAddr,
    /// Address and port of the HTTP listener; without a host, loopback
    #[arg(long, env = "VMAFX_HTTP_ADDR", default_value = HTTP_LISTEN_DEFAULT, value_parser = parse_listen)]
    pub http_listen: SocketAddr,
    /// Runs at once [default: one a processor]
    #[arg(long, env = "VMAFX_MAX_CONCURRENT_SCORES")]
    pub slots: Option<NonZeroUsize>,
    /// Threads for each run [default: the processors shared out over the slots]
    #[arg(long, env = "VMAFX_SCORE_THREADS")]
    pub threads: Option<NonZeroUsize>,
    /// Requests that may wait for a slot; beyond that callers are told when to come again
    #[arg(long, env = "VMAFX_SCORES_WAITING_MAX", default_value_t = WAITING_MAX_DEFAULT)]
    pub waiting_max: usize,
    /// Bytes of per-frame values that callers may leave unread, all of them together; beyond that answers
    /// come without
    #[arg(long, env = "VMAFX_UNREAD_BYTES_MAX", default_value_t = UNREAD_BYTES_MAX_DEFAULT)]
    pub unread_bytes_max: NonZeroUsize,
    /// How long a pair may take, its wait for a slot included
    #[arg(long, env = "VMAFX_SCORE_TIME_MAX", default_value = "1h", value_parser = parse_duration)]
    pub time_max: Duration,
    /// How long a stream may pause between messages
    #[arg(long, env = "VMAFX_STREAM_IDLE_MAX", default_value = "1m", value_parser = parse_duration)]
    pub stream_idle_max: Duration,
    /// How long everybody is still served after SIGTERM while readiness is false already, so that
    /// whoever balances the load sends nobody any more
    #[arg(long, env = "VMAFX_SHUTDOWN_DELAY", default_value = "0s", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// How long a shutdown waits for runs
    #[arg(long, env = "VMAFX_SHUTDOWN_GRACE", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,
    /// The instruction set above which none is used: baseline, avx2, avx512
    #[arg(long, env = "VMAFX_ISA", default_value = "avx512")]
    pub isa: IsaLevel,
    /// A folder below which videos and models may lie; may be given more than once
    #[arg(long = "source-root", env = "VMAFX_SCORING_ROOTS", value_delimiter = ':')]
    pub source_roots: Vec<PathBuf>,
    /// A host from which videos may be fetched over https; .example stands for all below it
    #[arg(long = "source-host", env = "VMAFX_SCORING_HOSTS", value_delimiter = ',')]
    pub source_hosts: Vec<String>,
    /// Luma samples that a picture may have; memory follows them
    #[arg(long, env = "VMAFX_PICTURE_PIXELS_MAX", default_value_t = PICTURE_PIXELS_MAX_DEFAULT)]
    pub picture_pixels_max: NonZeroU64,
    /// The ffmpeg program [default: the one in PATH]
    #[arg(long, env = "VMAFX_FFMPEG")]
    pub ffmpeg: Option<PathBuf>,
    /// A file with the bearer tokens that callers must present, one a line
    #[arg(long, env = "VMAFX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Listen beyond loopback although no token is asked for
    #[arg(long, env = "VMAFX_INSECURE")]
    pub insecure: bool,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let slots = args.slots.unwrap_or_else(processors);
        let share = NonZeroUsize::new(processors().get() / slots.get());
        Self {
            grpc_listen: args.grpc_listen,
            http_listen: args.http_listen,
            slots,
            threads_per_slot: args.threads.or(share).unwrap_or(NonZeroUsize::MIN),
            waiting_max: args.waiting_max,
            unread_bytes_max: args.unread_bytes_max,
            time_max: args.time_max,
            stream_idle_max: args.stream_idle_max,
            shutdown_delay: args.shutdown_delay,
            shutdown_grace: args.shutdown_grace,
            niced: true,
            isa_limit: args.isa,
            source_roots: args.source_roots,
            source_hosts: args.source_hosts,
            picture_pixels_max: args.picture_pixels_max,
            ffmpeg: args.ffmpeg,
            token_file: args.token_file,
            insecure: args.insecure,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn defaults_are_allowed_on_loopback_and_those_of_the_flags() {
        Config::default().check().expect("allowed");
        let args = Config::from(Args::try_parse_from(["vmafx-server"]).expect("no flags"));
        args.check().expect("allowed");
        let default = Config::default();
        assert_eq!(
            (args.grpc_listen, args.http_listen, args.slots, args.threads_per_slot),
            (default.grpc_listen, default.http_listen, default.slots, default.threads_per_slot)
        );
        assert_eq!(
            (args.waiting_max, args.time_max, args.stream_idle_max, args.shutdown_grace),
            (
                default.waiting_max,
                default.time_max,
                default.stream_idle_max,
                default.shutdown_grace
            )
        );
    }

    #[test]
    fn what_is_out_of_its_bounds_is_named() {
        let check = |change: fn(&mut Config), says: &str| {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check().expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        };
        check(|c| c.grpc_listen = ([0, 0, 0, 0], 1).into(), "--insecure");
        check(|c| c.slots = NonZeroUsize::new(2_000).expect("some"), "slots is 2000");
        check(|c| c.waiting_max = 10_001, "may wait");
        check(|c| c.time_max = Duration::ZERO, "time for a pair");
        check(|c| c.shutdown_delay = Duration::from_secs(301), "delay is 301s");
        check(|c| c.shutdown_grace = Duration::from_secs(301), "grace is 301s");
    }
}
