//! What the server can be told: by flags, by environment, by defaults.
//!
//! Flags go before the environment, the environment before defaults. A value out of its bounds is
//! refused with what is allowed; nothing is ignored.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use client::{ClientConfig, Token};
use engine::IsaLevel;
use media::{FfmpegConfig, MediaConfig, SourcePolicy};
use observability::Telemetry;
use scoring::RunConfig;
use service::settings::parse_listen;
use service::{Open, TokenError};
use thiserror::Error;

/// Where HTTP is served unless told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:3000";
/// Folders from which videos may be taken.
pub const SOURCE_ROOTS_MAX: usize = 256;
/// Jobs that may run at once in this process.
pub const SLOTS_MAX: usize = 64;
/// Threads that one job may have.
pub const THREADS_MAX: usize = 1_024;

/// How agents reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TransportKind {
    /// As a child process of the agent's host, over standard input and output.
    Stdio,
    /// As a service, over Streamable HTTP at `/mcp`.
    Http,
}

/// How the server is started.
#[derive(Debug, Clone)]
pub struct Config {
    /// How agents reach it.
    pub transport: TransportKind,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The file of tokens that callers must present over HTTP.
    pub token_file: Option<PathBuf>,
    /// Listens beyond loopback although anybody may call.
    pub insecure: bool,
    /// Origins of web pages that may call, beside those of this machine.
    pub allowed_origins: Vec<String>,
    /// Names by which callers may reach it, beside those of this machine.
    pub allowed_hosts: Vec<String>,
    /// The controller whose queue takes the jobs; `None` scores in this process.
    pub controller: Option<String>,
    /// Presented to the controller, where it asks for one.
    pub token: Option<Token>,
    /// Folders below which videos and models may lie.
    pub source_roots: Vec<PathBuf>,
    /// Hosts from which videos may be fetched over https.
    pub source_hosts: Vec<String>,
    /// The folder into which `tune` puts finished files; `None` makes none.
    pub output_root: Option<PathBuf>,
    /// The folder in which `tune` remembers what it measured; `None` remembers nothing.
    pub tune_journal_dir: Option<PathBuf>,
    /// The `ffmpeg` program; `None` looks for one in `PATH`.
    pub ffmpeg: Option<PathBuf>,
    /// Jobs that run at once where no controller is configured.
    pub slots: NonZeroUsize,
    /// Threads for each of them.
    pub threads: NonZeroUsize,
    /// The instruction set above which none is used.
    pub isa_limit: IsaLevel,
}

/// What in a configuration is not allowed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A listener beyond loopback that anybody could call.
    #[error(
        "{0}: anybody who reaches it could read your videos; give --token-file, or pass --insecure if that is meant"
    )]
    Open(Open),
    /// The tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// A number out of its bounds.
    #[error("{name} is {value}; it must be between 1 and {max}")]
    Count {
        /// Which setting.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// The most allowed.
        max: usize,
    },
    /// The controller's address or token cannot be used.
    #[error(transparent)]
    Controller(#[from] client::ClientError),
}

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        let listens = self.transport == TransportKind::Http;
        let addresses = listens.then_some(self.listen);
        if let Some(open) = Open::find(addresses, self.token_file.is_some(), self.insecure) {
            return Err(ConfigError::Open(open));
        }
        for (name, value, max) in [
            ("the number of slots", self.slots.get(), SLOTS_MAX),
            ("the number of threads", self.threads.get(), THREADS_MAX),
            ("the number of source roots", self.source_roots.len().max(1), SOURCE_ROOTS_MAX),
        ] {
            if value > max {
                return Err(ConfigError::Count { name, value, max });
            }
        }
        Ok(())
    }

    pub(crate) fn media(&self) -> MediaConfig {
        let policy = SourcePolicy::below(self.source_roots.iter().cloned());
        let policy = if self.source_hosts.is_empty() {
            policy
        } else {
            policy.with_urls(["https".to_owned()], self.source_hosts.iter().cloned())
        };
        let ffmpeg = FfmpegConfig { program: self.ffmpeg.clone(), ..FfmpegConfig::default() };
        MediaConfig { ffmpeg, ..MediaConfig::new(policy) }
    }

    pub(crate) fn run(&self) -> RunConfig {
        let media = self.media();
        let (threads, isa_limit) = (self.threads, self.isa_limit);
        RunConfig { media, threads, niced: true, isa_limit }
    }

    pub(crate) fn client(&self, telemetry: &Telemetry) -> Option<ClientConfig> {
        let address = self.controller.as_ref()?;
        Some(ClientConfig {
            token: self.token.clone(),
            telemetry: telemetry.clone(),
            ..ClientConfig::new(address)
        })
    }
}

/// What the process's exit code says.
pub const EXIT_CODES: &str = "Exit codes:
  0  stopped: the agent's host closed the input, or SIGTERM or SIGINT
  1  could not start or had to stop: a port in use
  2  a flag or variable that is not allowed
  130  a second signal cut the end short";

/// The command line of `vmafx-mcp`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "vmafx-mcp",
    version,
    about = "VMAFX as tools for AI agents, over the Model Context Protocol",
    after_help = EXIT_CODES
)]
pub struct Args {
    /// How agents reach the server
    #[arg(long, env = "VMAFX_MCP_TRANSPORT", value_enum, default_value = "stdio")]
    pub transport: TransportKind,
    /// Where HTTP is served; without a host, loopback
    #[arg(long, env = "VMAFX_MCP_LISTEN", default_value = LISTEN_DEFAULT, value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// A file of bearer tokens, one a line, of which callers over HTTP must present one
    #[arg(long, env = "VMAFX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Listen beyond loopback although anybody may call
    #[arg(long, env = "VMAFX_INSECURE")]
    pub insecure: bool,
    /// An origin of web pages that may call, such as https://agent.example:443; this machine's may
    #[arg(long = "allowed-origin", env = "VMAFX_MCP_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
    /// A name by which callers may reach the server, beside this machine's
    #[arg(long = "allowed-host", env = "VMAFX_MCP_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// The controller whose queue takes the jobs [default: none; jobs run in this process]
    #[arg(long, env = "VMAFX_CONTROLLER_ADDR")]
    pub controller: Option<String>,
    /// The bearer token that the controller asks for
    #[arg(long, env = "VMAFX_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
    /// A folder below which videos and models may lie; may be given more than once
    #[arg(long = "source-root", env = "VMAFX_SCORING_ROOTS", value_delimiter = ':')]
    pub source_roots: Vec<PathBuf>,
    /// A host from which videos may be fetched over https; .example stands for all below it
    #[arg(long = "source-host", env = "VMAFX_SCORING_HOSTS", value_delimiter = ',')]
    pub source_hosts: Vec<String>,
    /// The folder into which tune puts finished files [default: none; tune only searches]
    #[arg(long, env = "VMAFX_MCP_OUTPUT_ROOT")]
    pub output_root: Option<PathBuf>,
    /// The folder in which tune remembers what it measured [default: none; nothing outlives a run]
    #[arg(long, env = "VMAFX_MCP_TUNE_JOURNAL_DIR")]
    pub tune_journal_dir: Option<PathBuf>,
    /// The ffmpeg program [default: the one in PATH]
    #[arg(long, env = "VMAFX_FFMPEG")]
    pub ffmpeg: Option<PathBuf>,
    /// Jobs that run at once in this process, where no controller is configured
    #[arg(long, env = "VMAFX_MCP_SLOTS", default_value = "1")]
    pub slots: NonZeroUsize,
    /// Threads for each of them [default: the processors shared out over the slots]
    #[arg(long, env = "VMAFX_MCP_THREADS")]
    pub threads: Option<NonZeroUsize>,
    /// The instruction set above which none is used: baseline, avx2, avx512
    #[arg(long, env = "VMAFX_ISA", default_value = "avx512")]
    pub isa: IsaLevel,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let share = NonZeroUsize::new(processors.get() / args.slots.get());
        Self {
            transport: args.transport,
            listen: args.listen,
            token_file: args.token_file,
            insecure: args.insecure,
            allowed_origins: args.allowed_origins,
            allowed_hosts: args.allowed_hosts,
            // An empty variable is how a wrapper says that there is none.
            controller: args.controller.filter(|address| !address.is_empty()),
            token: args.token,
            source_roots: args.source_roots,
            source_hosts: args.source_hosts,
            output_root: args.output_root,
            tune_journal_dir: args.tune_journal_dir,
            ffmpeg: args.ffmpeg,
            slots: args.slots,
            threads: args.threads.or(share).unwrap_or(NonZeroUsize::MIN),
            isa_limit: args.isa,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config(args: &[&str]) -> Config {
        let args = ["vmafx-mcp"].iter().chain(args);
        Config::from(Args::try_parse_from(args).expect("good flags"))
    }

    #[test]
    fn a_plain_start_speaks_to_its_host_alone_and_may_read_nothing() {
        let config = config(&[]);
        config.check().expect("allowed");
        assert_eq!(config.transport, TransportKind::Stdio);
        assert!(config.source_roots.is_empty() && config.controller.is_none());
    }

    #[test]
    fn beyond_loopback_needs_tokens_or_the_word_that_it_is_meant() {
        let open = ["--transport", "http", "--listen", "0.0.0.0:1"];
        assert!(matches!(config(&open).check(), Err(ConfigError::Open(_))));
        let meant = [&open[..], &["--insecure"]].concat();
        config(&meant).check().expect("meant");
        let asked = [&open[..], &["--token-file", "/tokens"]].concat();
        config(&asked).check().expect("callers are known");
        config(&["--listen", "0.0.0.0:1"]).check().expect("nothing is listened on");
    }

    #[test]
    fn bounds_are_kept() {
        assert!(config(&["--slots", "65"]).check().is_err());
        assert!(config(&["--threads", "1025"]).check().is_err());
        assert!(Args::try_parse_from(["vmafx-mcp", "--slots", "0"]).is_err());
    }
}
