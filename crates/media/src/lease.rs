//! A child's right to compute, granted for a moment at a time by whoever waits for it.
//!
//! A process that is killed takes nothing with it: its pipes close, and an encoder that has all its
//! input by then works through it for as long as that takes. So a child's processor time is limited to
//! a little more than it has used, and the limit is moved on twice a second. When nobody moves it any
//! more, the kernel ends the child. A child that does not compute is not ended by this: its pipes do
//! that.
//!
//! Only Linux lets one process limit another; elsewhere nothing is granted and nothing is taken.

use std::time::Duration;

use rustix::process::Pid;

/// How often a grant is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(500);

/// Seconds that are granted beyond what was used, on each processor: many renewals, so that a parent
/// that is late on a busy machine loses no child.
const GRANT_SECONDS: u64 = 5;

/// How much is granted, and how often.
#[derive(Debug, Clone, Copy)]
struct Terms {
    renew_every: Duration,
    /// Seconds of processor time beyond what was used.
    grant_seconds: u64,
    /// A renewal that comes so late may have been too late.
    late_after: Duration,
}

impl Terms {
    fn usual() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        Self {
            renew_every: RENEW_EVERY,
            grant_seconds: GRANT_SECONDS * processors,
            late_after: Duration::from_secs(GRANT_SECONDS) - RENEW_EVERY,
        }
    }
}

/// The grants of one child, renewed by a thread until this [ends](Self::end).
#[derive(Debug)]
pub(crate) struct Lease(Option<Renewal>);

impl Lease {
    /// Holds a child, which must not be reaped before this has ended.
    pub(crate) fn grant(child: Pid) -> Self {
        Self(Renewal::start(child, Terms::usual()))
    }

    /// Grants nothing more, and says whether a grant may have run out before it was renewed: this
    /// process was stopped.
    pub(crate) fn end(self) -> bool {
        self.0.is_some_and(Renewal::end)
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Renewal;

#[cfg(not(target_os = "linux"))]
impl Renewal {
    fn start(_child: Pid, _terms: Terms) -> Option<Self> {
        None
    }

    fn end(self) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
use linux::Renewal;

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread::JoinHandle;
    use std::time::Instant;

    use rustix::param::clock_ticks_per_second;
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    use super::Terms;
    use crate::process::ticks_of;

    #[derive(Debug)]
    pub(super) struct Renewal {
        over: mpsc::Sender<()>,
        thread: JoinHandle<bool>,
    }

    impl Renewal {
        /// `None` where the child's time cannot be told or limited, or no thread be had: better no
        /// lease than one that runs out.
        pub(super) fn start(child: Pid, terms: Terms) -> Option<Self> {
            renew(child, terms)?;
            let (over, is_over) = mpsc::channel();
            let renewing = move || {
                let (mut renewed_at, mut was_late) = (Instant::now(), false);
                loop {
                    let waited = is_over.recv_timeout(terms.renew_every);
                    was_late |= renewed_at.elapsed() >= terms.late_after;
                    if waited != Err(RecvTimeoutError::Timeout) {
                        return was_late;
                    }
                    // A child that has ended and is not reaped yet has nothing left to limit.
                    let _ = renew(child, terms);
                    renewed_at = Instant::now();
                }
            };
            let thread = std::thread::Builder::new().name("child-lease".to_owned()).spawn(renewing);
            match thread {
                Ok(thread) => Some(Self { over, thread }),
                Err(_) => {
                    let Rlimit { current, maximum } = getrlimit(Resource::Cpu);
                    let _ = prlimit(Some(child), Resource::Cpu, Rlimit { current, maximum });
                    None
                }
            }
        }

        pub(super) fn end(self) -> bool {
            drop(self.over);
            self.thread.join().unwrap_or(false)
        }
    }

    /// Moves the child's limit on. An operator's own limit, which is this process's too, stays the
    /// highest.
    fn renew(child: Pid, terms: Terms) -> Option<()> {
        let pid = u32::try_from(child.as_raw_nonzero().get()).ok()?;
        let used = ticks_of(pid)?.div_ceil(clock_ticks_per_second());
        let own = getrlimit(Resource::Cpu);
        let highest = own.current.into_iter().chain(own.maximum).min().unwrap_or(u64::MAX);
        let current = Some((used + terms.grant_seconds).min(highest));
        let granted = Rlimit { current, maximum: own.maximum };
        prlimit(Some(child), Resource::Cpu, granted).ok().map(drop)
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::process::ExitStatusExt as _;
        use std::process::{Child, Command, Stdio};
        use std::time::Duration;

        use rustix::process::Signal;

        use super::*;

        const TERMS: Terms = Terms {
            renew_every: Duration::from_millis(50),
            grant_seconds: 1,
            late_after: Duration::from_secs(600),
        };
        const SOON: Duration = Duration::from_secs(60);

        /// A child that computes and never ends.
        fn busy() -> (Child, Pid) {
            let child = Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
                .expect("a shell");
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a number");
            (child, pid)
        }

        fn seconds_of(child: &Child) -> u64 {
            ticks_of(child.id()).expect("it is there") / clock_ticks_per_second()
        }

        #[test]
        fn who_is_renewed_computes_on_and_who_is_not_is_ended_by_the_kernel() {
            let (mut child, pid) = busy();
            let renewal = Renewal::start(pid, TERMS).expect("granted");
            let began = Instant::now();
            while seconds_of(&child) < 3 * TERMS.grant_seconds {
                assert!(began.elapsed() < SOON, "it computes");
                assert_eq!(child.try_wait().expect("ours"), None, "a grant was renewed");
                std::thread::sleep(Duration::from_millis(20));
            }
            // As when this process is killed: the child is left to itself.
            assert!(!renewal.end(), "never late");
            let used = seconds_of(&child);
            let began = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait().expect("ours") {
                    break status;
                }
                assert!(seconds_of(&child) <= used + TERMS.grant_seconds + 2, "past its grant");
                assert!(began.elapsed() < SOON, "left alone it ends");
                std::thread::sleep(Duration::from_millis(20));
            };
            assert_eq!(status.signal(), Some(Signal::XCPU.as_raw()), "{status}");
        }

        #[test]
        fn a_renewal_that_comes_too_late_is_told_of() {
            let (mut child, pid) = busy();
            let terms = Terms { late_after: Duration::ZERO, ..TERMS };
            let renewal = Renewal::start(pid, terms).expect("granted");
            assert!(renewal.end(), "any wait is too long here");
            child.kill().expect("ours");
            child.wait().expect("ours");
            assert!(Renewal::start(pid, TERMS).is_none(), "nothing to hold");
        }
    }
}
