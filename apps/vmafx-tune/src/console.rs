//! What is printed: the outcome on standard output; on the way there lines of JSON on standard output,
//! or one changing line on a terminal's standard error.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::json;
use types::Failure;
use vmafx_tune::{Cost, Event, Sink, TuneOutcome, show};

/// The process's console.
pub(crate) struct Console {
    json: bool,
    terminal: bool,
    /// Lines of two threads do not mix.
    turn: Mutex<()>,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, terminal: io::stderr().is_terminal(), turn: Mutex::new(()) }
    }

    /// The end of a run that came to something.
    pub(crate) fn outcome(&self, outcome: &TuneOutcome, text: &str) {
        if self.json {
            let standing = outcome.standing();
            self.line(&json!({ "event": "done", "standing": standing, "outcome": outcome }));
        } else {
            self.clear();
            print(text);
        }
    }

    pub(crate) fn cost(&self, cost: &Cost) {
        if self.json {
            self.line(&json!({ "event": "cost", "cost": cost }));
        } else {
            self.clear();
            print(&show::cost(cost));
        }
    }

    /// The end of a run that came to nothing.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            self.line(
                &json!({ "event": "error", "kind": failure.kind, "message": failure.message }),
            );
        }
        self.clear();
        say(&format!("vmafx-tune: {}\n", failure.message));
    }

    fn line(&self, value: &impl Serialize) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        print(&(serde_json::to_string(value).unwrap_or_default() + "\n"));
    }

    fn clear(&self) {
        if self.terminal && !self.json {
            say("\r\x1b[K");
        }
    }
}

impl Sink for Console {
    fn event(&self, event: &Event) {
        if self.json {
            return self.line(event);
        }
        let Some(text) = show::event(event) else { return };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let passing = matches!(event, Event::Analysing { .. });
        match (self.terminal, passing) {
            (true, true) => say(&format!("\r\x1b[K{text}")),
            (true, false) => say(&format!("\r\x1b[K{text}\n")),
            (false, true) => {}
            (false, false) => say(&format!("{text}\n")),
        }
    }
}

/// Writes to standard output. Whoever closed the pipe does not want it; the work is done all the same.
fn print(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes to standard error; that nobody may read it is no error.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
