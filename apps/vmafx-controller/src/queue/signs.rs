//! Signs of life that say nothing new, gathered until the writer looks.
//!
//! A thousand idle nodes say the same every two seconds. Waking the writer for each costs more than
//! all that it then does; it looks several times within an interval, and whenever it works anyhow.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use control::{Command, ConnectionId};
use types::{NodeStatus, SessionId};

/// Looks in one interval between signs of life: none is counted as later than it came by more than
/// that share.
const LOOKS_PER_INTERVAL: u32 = 8;

/// The longest and shortest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(250);
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The newest such sign of each work stream.
#[derive(Debug, Default)]
pub(super) struct QuietSigns {
    waiting: Mutex<HashMap<ConnectionId, Sign>>,
}

#[derive(Debug)]
struct Sign {
    session: SessionId,
    status: NodeStatus,
    acknowledge: u64,
}

impl QuietSigns {
    /// How long the writer may leave them, where nodes come every `interval`.
    pub(super) fn pause(interval: Duration) -> Duration {
        (interval / LOOKS_PER_INTERVAL).clamp(PAUSE_MIN, PAUSE_MAX)
    }

    /// Keeps a sign in place of an older one; what that asked to be acknowledged still is.
    pub(super) fn put(
        &self,
        (session, connection): (SessionId, ConnectionId),
        status: NodeStatus,
        acknowledge: u64,
    ) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let older = waiting.get(&connection).map_or(0, |sign| sign.acknowledge);
        let acknowledge = acknowledge.max(older);
        waiting.insert(connection, Sign { session, status, acknowledge });
    }

    /// Takes back a stream's sign, which newer news stands for; gives what it asked to be
    /// acknowledged, or 0.
    pub(super) fn forget(&self, connection: ConnectionId) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&connection).map_or(0, |sign| sign.acknowledge)
    }

    /// Everything that came since, as commands.
    pub(super) fn take<T>(&self) -> impl Iterator<Item = Command<T>> + use<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting).into_iter().map(|(connection, sign)| {
            let Sign { session, status, acknowledge } = sign;
            Command::Status { session, connection, status, acknowledge }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sign_of_a_stream_is_taken_once_with_the_newest_number_to_acknowledge() {
        let signs = QuietSigns::default();
        let status =
            |slots_offered| NodeStatus { slots_offered, running: Vec::new(), draining: false };
        let (first, second) = (ConnectionId(1), ConnectionId(2));
        let session = SessionId(1);
        signs.put((session, first), status(1), 7);
        signs.put((session, second), status(2), 0);
        signs.put((session, first), status(1), 0);
        let mut taken: Vec<_> = signs
            .take::<()>()
            .map(|command| match command {
                Command::Status { connection, status, acknowledge, .. } => {
                    (connection, status.slots_offered, acknowledge)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        taken.sort_unstable();
        assert_eq!(taken, [(first, 1, 7), (second, 2, 0)]);
        signs.put((session, first), status(1), 9);
        assert_eq!([first, first].map(|connection| signs.forget(connection)), [9, 0]);
        assert_eq!(signs.take::<()>().count(), 0);
    }

    #[test]
    fn looks_follow_the_interval_within_bounds() {
        let ms = Duration::from_millis;
        for (interval, pause) in [(2_000, 250), (400, 50), (10, 5), (60_000, 250)] {
            assert_eq!(QuietSigns::pause(ms(interval)), ms(pause));
        }
    }
}
