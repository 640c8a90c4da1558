//! Processes of the platform: started, watched through `/proc`, killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::Error;

/// How long a controller may take until it is ready.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// How long `/metrics` may take.
const METRICS_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of `/metrics` that are read.
const METRICS_BYTES_MAX: u64 = 4 << 20;

/// Lines of a controller's log that are kept for the case that it does not start.
const LOG_LINES_MAX: usize = 64;

/// A program of the platform: it lies beside this one.
pub(crate) fn program(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing; `cargo xtask bench` builds it", path.display()).into())
    }
}

/// A controller process of its own, on free ports. Killed with -9 when dropped.
#[derive(Debug)]
pub(crate) struct Controller {
    child: Child,
    /// Where its gRPC is.
    pub(crate) address: String,
    http: String,
    /// When it was started.
    pub(crate) started: Instant,
    /// How long it took to be ready.
    pub(crate) ready_after: Duration,
}

impl Controller {
    /// Starts it with its default durability on a store at `db`, and waits until it is ready.
    pub(crate) fn start(db: &Path, arguments: &[&str]) -> Result<Self, Error> {
        Self::start_with(db, arguments, &[])
    }

    /// As [`start`](Self::start), with these variables in its environment.
    pub(crate) fn start_with(
        db: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let mut command = Command::new(program("vmafx-controller")?);
        command.args(["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--db"]);
        command.arg(db).args(arguments);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("OTEL_") || name.starts_with("VMAFX_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let log = child.stderr.take().ok_or("the controller has no standard error")?;
        let (sender, ready) = mpsc::sync_channel(1);
        std::thread::spawn(move || read_log(log, &sender));
        match ready.recv_timeout(READY_PATIENCE) {
            Ok(Ok([address, http])) => {
                let ready_after = started.elapsed();
                Ok(Self { child, address, http, started, ready_after })
            }
            outcome => {
                let _ = child.kill();
                let _ = child.wait();
                Err(match outcome {
                    Ok(Err(log)) => format!("the controller has ended:\n{log}").into(),
                    _ => format!("the controller was not ready in {READY_PATIENCE:?}").into(),
                })
            }
        }
    }

    /// CPU time that its threads have used.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        cpu(&self.child.id().to_string())
    }

    /// The same to the nanosecond, without that of threads that have ended.
    pub(crate) fn cpu_exactly(&self) -> Result<Duration, Error> {
        cpu_of_threads(&self.child.id().to_string())
    }

    /// Memory that it has now.
    pub(crate) fn rss_bytes(&self) -> Result<u64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1_024)
    }

    /// The value of one line of its `/metrics`.
    pub(crate) fn metric(&self, line: &str) -> Result<f64, Error> {
        let value = self.metric_if_there(line)?;
        value.ok_or_else(|| format!("/metrics has no {line}").into())
    }

    /// The value of one line of its `/metrics`, where a line comes with the first event.
    pub(crate) fn metric_or_zero(&self, line: &str) -> Result<f64, Error> {
        Ok(self.metric_if_there(line)?.unwrap_or(0.0))
    }

    fn metric_if_there(&self, line: &str) -> Result<Option<f64>, Error> {
        let mut stream = TcpStream::connect(&self.http)?;
        stream.set_read_timeout(Some(METRICS_PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.take(METRICS_BYTES_MAX).read_to_string(&mut text)?;
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        Ok(value.map(|value| value.trim().parse()).transpose()?)
    }

    /// Ends it with -9.
    pub(crate) fn kill(mut self) -> Result<(), Error> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time that a process (`self` is this one) has used, in steps of the kernel's clock tick.
pub(crate) fn cpu(pid: &str) -> Result<Duration, Error> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; user and system time are 12 and 13 after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("malformed /proc/PID/stat")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(ticks.iter().sum::<u64>() as f64 / per_second))
}

/// CPU time that the threads of a process have used which have not ended.
fn cpu_of_threads(pid: &str) -> Result<Duration, Error> {
    let mut sum = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name();
        // One that ends meanwhile is as if it had ended before.
        sum += cpu_of_thread(&format!("{pid}/task/{}", thread.display())).unwrap_or_default();
    }
    Ok(sum)
}

/// CPU time that this process has used, with all threads that it ever had.
pub(crate) fn own_cpu() -> Result<Duration, Error> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}

/// CPU time that a thread has used, by its place below `/proc`.
pub(crate) fn cpu_of_thread(place: &str) -> Result<Duration, Error> {
    let stat = std::fs::read_to_string(format!("/proc/{place}/schedstat"))?;
    let nanos = stat.split_whitespace().next().ok_or("malformed /proc/PID/schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Where gRPC and HTTP are, or the log of a controller that did not get that far.
type Ready = Result<[String; 2], String>;

/// Reads the log to its end, so that the controller never waits for its reader; tells the
/// addresses once it is ready, or the log's last lines when it ends before.
fn read_log(log: ChildStderr, ready: &mpsc::SyncSender<Ready>) {
    let mut told = false;
    let mut lines = Vec::new();
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if told {
            continue;
        }
        let record: Value = serde_json::from_str(&line).unwrap_or_default();
        if record["message"] == "controller ready" {
            told = true;
            let address = |face| record[face].as_str().unwrap_or_default().to_owned();
            let _ = ready.send(Ok(["grpc", "http"].map(address)));
        } else if lines.len() < LOG_LINES_MAX {
            lines.push(line);
        }
    }
    if !told {
        let _ = ready.send(Err(lines.join("\n")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_this_process_grows_with_its_work() {
        let before = cpu("self").expect("readable");
        let began = Instant::now();
        let mut sum = 0_u64;
        while cpu("self").expect("readable") == before && began.elapsed().as_secs() < 60 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        assert!(cpu("self").expect("readable") > before);
    }
}
