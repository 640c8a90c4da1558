//! What a node can be told: by flags, by environment, by defaults.
//!
//! Flags go before the environment, the environment before defaults. A value out of its bounds is
//! refused with what is allowed; nothing is ignored.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use client::Token;
use engine::IsaLevel;
use service::Open;
use service::settings::{Listener, parse_duration, parse_listen, parse_listener};
use thiserror::Error;
use types::{Capabilities, NodeId};

/// Where `/metrics`, `/healthz` and `/readyz` are served unless told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:9090";

/// Where direct scoring is served unless told otherwise.
pub const GRPC_LISTEN_DEFAULT: &str = "127.0.0.1:50052";

/// Requests for direct scoring that may wait for a slot. They share the slots with leased work, so
/// that a long line belongs to a server of its own.
pub const DIRECT_WAITING_MAX: usize = 16;

/// How long a stream of direct scoring may pause.
pub const STREAM_IDLE_MAX: Duration = Duration::from_secs(60);

/// What the spool takes unless told otherwise.
pub const SPOOL_BYTES_MAX_DEFAULT: u64 = 1 << 30;

/// How long a drain waits for what runs, unless told otherwise.
pub const DRAIN_GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// How long one attempt may take where its job sets no limit.
pub const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(6 * 3_600);

/// The longest that an attempt may take, or a drain may wait.
pub const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Luma samples that a picture may have unless told otherwise: twice those of 8K.
pub const PICTURE_PIXELS_MAX_DEFAULT: NonZeroU64 = NonZeroU64::new(8_192 * 8_192).unwrap();
/// What the encodes of all attempts may take together, unless told otherwise.
pub const SCRATCH_BYTES_MAX_DEFAULT: u64 = 16 << 30;

/// Folders from which videos may be taken.
pub const SOURCE_ROOTS_MAX: usize = 256;

/// Where reports are kept until the controller has answered them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The folder; made where it is missing. No two nodes may share one.
    pub dir: PathBuf,
    /// Bytes that the reports in it may take together.
    pub bytes_max: u64,
}

impl SpoolConfig {
    /// A folder with the default bound.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bytes_max: SPOOL_BYTES_MAX_DEFAULT }
    }
}

/// How a node is started. [`check`](Self::check) holds for every one that starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The controller: `http://host:port`.
    pub controller: String,
    /// Presented to the controller, where it asks for one.
    pub token: Option<Token>,
    /// The node's name, stable over restarts and unique in the fleet.
    pub node_id: NodeId,
    /// Attempts at once.
    pub slots: NonZeroU32,
    /// Threads that compute features, for each attempt.
    pub threads_per_slot: NonZeroUsize,
    /// The instruction set above which none is used.
    pub isa_limit: IsaLevel,
    /// Folders below which videos and models may lie.
    pub source_roots: Vec<PathBuf>,
    /// Hosts from which videos may be fetched over `https`.
    pub source_hosts: Vec<String>,
    /// Luma samples that a picture may have; videos of larger ones are refused.
    pub picture_pixels_max: NonZeroU64,
    /// The `ffmpeg` program; `None` looks for one in `PATH`.
    pub ffmpeg: Option<PathBuf>,
    /// Where reports are kept until they are answered; `None` keeps them in memory only, and loses
    /// them with the process.
    pub spool: Option<SpoolConfig>,
    /// Where encodes lie while they are scored; `None` takes the system's temporary folder.
    pub scratch_dir: Option<PathBuf>,
    /// Bytes that those may take, shared out over the slots.
    pub scratch_bytes_max: u64,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; `None` serves none.
    pub listen: Option<SocketAddr>,
    /// Where direct scoring is served over gRPC; `None` serves none.
    pub grpc_listen: Option<SocketAddr>,
    /// Holds the tokens that callers of direct scoring must present, one a line.
    pub token_file: Option<PathBuf>,
    /// Listens beyond loopback although anybody may call.
    pub insecure: bool,
    /// How long one attempt may take where its job sets no limit.
    pub attempt_timeout: Duration,
}

/// What in a configuration is not allowed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A listener beyond loopback.
    #[error(
        "{0}: anybody who reaches it could read this node's metrics; \
         pass --insecure if that is meant"
    )]
    Insecure(Open),
    /// A listener for direct scoring beyond loopback that anybody could call.
    #[error(
        "{0} and no token is asked for: anybody who reaches it could have videos scored; set \
         VMAFX_TOKEN_FILE, or pass --insecure if that is meant"
    )]
    InsecureScoring(Open),
    /// A number out of its bounds.
    #[error("{name} is {value}; it must be between 1 and {max}")]
    Count {
        /// Which setting.
        name: &'static str,
        /// What it was set to.
        value: u64,
        /// The most allowed.
        max: u64,
    },
    /// A duration out of its bounds.
    #[error("{name} is {value:?}; it must be above zero and at most {WAIT_MAX:?}")]
    Duration {
        /// Which setting.
        name: &'static str,
        /// What it was set to.
        value: Duration,
    },
}

impl Config {
    /// The most threads an attempt may have.
    pub const THREADS_MAX: usize = 1_024;

    /// One slot with all processors, no source allowed, no spool, nothing served.
    #[must_use]
    pub fn new(controller: impl Into<String>, node_id: NodeId) -> Self {
        Self {
            controller: controller.into(),
            token: None,
            node_id,
            slots: NonZeroU32::MIN,
            threads_per_slot: processors(),
            isa_limit: IsaLevel::Avx512,
            source_roots: Vec::new(),
            source_hosts: Vec::new(),
            picture_pixels_max: PICTURE_PIXELS_MAX_DEFAULT,
            ffmpeg: None,
            spool: None,
            scratch_dir: None,
            scratch_bytes_max: SCRATCH_BYTES_MAX_DEFAULT,
            listen: None,
            grpc_listen: None,
            token_file: None,
            insecure: false,
            attempt_timeout: ATTEMPT_TIMEOUT_DEFAULT,
        }
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(open) = Open::find(self.listen, false, self.insecure) {
            return Err(ConfigError::Insecure(open));
        }
        if let Some(open) = Open::find(self.grpc_listen, self.token_file.is_some(), self.insecure) {
            return Err(ConfigError::InsecureScoring(open));
        }
        for (name, value, max) in [
            ("the number of slots", u64::from(self.slots.get()), Capabilities::SLOTS_MAX.into()),
            ("the number of threads", self.threads_per_slot.get() as u64, Self::THREADS_MAX as u64),
            ("the number of source roots", self.source_roots.len() as u64, SOURCE_ROOTS_MAX as u64),
        ] {
            if value > max {
                return Err(ConfigError::Count { name, value, max });
            }
        }
        if self.attempt_timeout.is_zero() || self.attempt_timeout > WAIT_MAX {
            let (name, value) = ("the attempt timeout", self.attempt_timeout);
            return Err(ConfigError::Duration { name, value });
        }
        Ok(())
    }
}

fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What the process's exit code says.
pub const EXIT_CODES: &str = "Exit codes:
  0  drained: after SIGTERM or SIGINT, or because the controller asked for it
  1  could not start or had to stop: a port in use, a spool that cannot be written
  2  a flag or variable that is not allowed
  130  a second signal cut the drain short";

/// The command line of `vmafx-node`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "vmafx-node",
    version,
    about = "A worker of VMAFX: pulls work, decodes, scores, reports",
    after_help = EXIT_CODES
)]
pub struct Args {
    /// The controller's gRPC address
    #[arg(long = "controller", env = "VMAFX_CONTROLLER_ADDR", default_value = client::ADDRESS_DEFAULT)]
    pub controller: String,
    /// The bearer token that the controller asks for
    #[arg(long, env = "VMAFX_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
    /// The node's name, unique in the fleet [default: the host's name]
    #[arg(long, env = "VMAFX_NODE_ID", value_parser = parse_node_id)]
    pub node_id: Option<NodeId>,
    /// Attempts at once
    #[arg(long, env = "VMAFX_NODE_SLOTS", default_value = "1")]
    pub slots: NonZeroU32,
    /// Threads for each attempt [default: the processors shared out over the slots]
    #[arg(long, env = "VMAFX_NODE_THREADS")]
    pub threads: Option<NonZeroUsize>,
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
    /// Where reports are kept until they are answered
    /// [default: below $STATE_DIRECTORY or the XDG state directory]
    #[arg(long, env = "VMAFX_SPOOL_DIR")]
    pub spool_dir: Option<PathBuf>,
    /// Bytes that the kept reports may take
    #[arg(long, env = "VMAFX_SPOOL_BYTES_MAX", default_value_t = SPOOL_BYTES_MAX_DEFAULT)]
    pub spool_bytes_max: u64,
    /// Where encodes lie while they are scored [default: the system's temporary folder]
    #[arg(long, env = "VMAFX_SCRATCH_DIR")]
    pub scratch_dir: Option<PathBuf>,
    /// Bytes that those may take, shared out over the slots
    #[arg(long, env = "VMAFX_SCRATCH_BYTES_MAX", default_value_t = SCRATCH_BYTES_MAX_DEFAULT)]
    pub scratch_bytes_max: u64,
    /// Where /metrics, /healthz and /readyz are served; without a host, loopback
    #[arg(long, env = "VMAFX_NODE_LISTEN", default_value = LISTEN_DEFAULT, value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Where direct scoring is served over gRPC; without a host, loopback; or off
    #[arg(long, env = "VMAFX_NODE_GRPC_LISTEN", default_value = GRPC_LISTEN_DEFAULT, value_parser = parse_listener)]
    pub grpc_listen: Listener,
    /// A file with the bearer tokens that callers of direct scoring must present, one a line
    #[arg(long, env = "VMAFX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Listen beyond loopback although anybody may call
    #[arg(long, env = "VMAFX_INSECURE")]
    pub insecure: bool,
    /// How long a drain waits for what runs before it hands it back
    #[arg(long, env = "VMAFX_DRAIN_GRACE", default_value = "30s", value_parser = parse_duration)]
    pub drain_grace: Duration,
    /// How long one attempt may take where its job sets no limit
    #[arg(long, env = "VMAFX_ATTEMPT_TIMEOUT", default_value = "6h", value_parser = parse_duration)]
    pub attempt_timeout: Duration,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let node_id = args.node_id.unwrap_or_else(host_name);
        let share = processors().get() / args.slots.get() as usize;
        let threads = args.threads.or(NonZeroUsize::new(share)).unwrap_or(NonZeroUsize::MIN);
        let dir = args.spool_dir.unwrap_or_else(|| default_spool_dir(&node_id));
        Self {
            token: args.token,
            slots: args.slots,
            threads_per_slot: threads,
            isa_limit: args.isa,
            source_roots: args.source_roots,
            source_hosts: args.source_hosts,
            picture_pixels_max: args.picture_pixels_max,
            ffmpeg: args.ffmpeg,
            spool: Some(SpoolConfig { dir, bytes_max: args.spool_bytes_max }),
            scratch_dir: args.scratch_dir,
            scratch_bytes_max: args.scratch_bytes_max,
            listen: Some(args.listen),
            grpc_listen: args.grpc_listen.0,
            token_file: args.token_file,
            insecure: args.insecure,
            attempt_timeout: args.attempt_timeout,
            ..Self::new(args.controller, node_id)
        }
    }
}

/// The host's name as a node's: what a node's name may not hold becomes a dash.
fn host_name() -> NodeId {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let clean = |c: char| if c.is_ascii_graphic() { c } else { '-' };
    let name: String = name.chars().take(NodeId::CHARS_MAX).map(clean).collect();
    NodeId::new(name).unwrap_or_else(|_| NodeId::new("node").expect("a plain word is a name"))
}

/// Where reports are kept unless told otherwise: systemd's state directory, else the user's; a
/// folder of its own for each node's name.
fn default_spool_dir(node_id: &NodeId) -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let systemd = var("STATE_DIRECTORY")
        .and_then(|list| std::env::split_paths(&list).next())
        .filter(|dir| dir.is_absolute());
    let xdg = || var("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || var("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let dir = systemd.or_else(|| xdg().or_else(home).map(|dir| dir.join("vmafx")));
    // A name may hold any printable character; in a folder's name only harmless ones stay.
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let folder: String = node_id.as_str().chars().map(safe).collect();
    dir.unwrap_or_default().join("spool").join(folder)
}

fn parse_node_id(text: &str) -> Result<NodeId, String> {
    NodeId::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config() -> Config {
        Config::new("http://127.0.0.1:1", NodeId::new("n").expect("a name"))
    }

    #[test]
    fn defaults_are_allowed_and_on_loopback() {
        let args = Args::try_parse_from(["vmafx-node"]).expect("no flags");
        let config = Config::from(args);
        config.check().expect("allowed");
        assert!(config.listen.is_some_and(|addr| addr.ip().is_loopback()));
        assert!(config.spool.is_some() && config.source_roots.is_empty());
    }

    #[test]
    fn beyond_loopback_needs_the_word_that_it_is_meant() {
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            let open = Config { listen: address.parse().ok(), ..config() };
            assert!(matches!(open.check(), Err(ConfigError::Insecure(_))), "{address}");
            // A token is asked for by the port of direct scoring alone, so it protects nothing here.
            let with_token = Config { token_file: Some("/t".into()), ..open };
            assert!(matches!(with_token.check(), Err(ConfigError::Insecure(_))), "{address}");
            Config { insecure: true, ..with_token }.check().expect("meant");
        }
        for address in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1"] {
            Config { listen: address.parse().ok(), ..config() }.check().expect("on loopback");
        }
        let open = Config { grpc_listen: "0.0.0.0:1".parse().ok(), ..config() };
        assert!(matches!(open.check(), Err(ConfigError::InsecureScoring(_))));
        Config { token_file: Some("/t".into()), ..open }.check().expect("authenticated");
    }

    #[test]
    fn bounds_are_kept() {
        let slots = NonZeroU32::new(Capabilities::SLOTS_MAX + 1).expect("not zero");
        assert!(Config { slots, ..config() }.check().is_err());
        assert!(Config { attempt_timeout: Duration::ZERO, ..config() }.check().is_err());
        assert!(Args::try_parse_from(["vmafx-node", "--slots", "0"]).is_err());
        assert!(Args::try_parse_from(["vmafx-node", "--node-id", "a b"]).is_err());
    }

    #[test]
    fn roots_are_separated_like_paths_and_processors_are_shared_out() {
        let args =
            ["vmafx-node", "--source-root", "/a:/b", "--source-root", "/c", "--slots", "999"];
        let config = Config::from(Args::try_parse_from(args).expect("allowed"));
        assert_eq!(config.source_roots, ["/a", "/b", "/c"].map(PathBuf::from));
        assert_eq!(config.threads_per_slot, NonZeroUsize::MIN);
    }

    #[test]
    fn two_nodes_of_one_user_have_spools_of_their_own() {
        let dir = |name: &str| default_spool_dir(&NodeId::new(name).expect("a name"));
        assert_ne!(dir("a"), dir("b"));
        assert!(dir("../../x").ends_with("spool/______x"));
    }
}
