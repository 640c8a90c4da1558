//! The nodes' side: what they send, get and do.

use super::*;

impl World {
    pub(super) fn command(
        &self,
        node: NodeIndex,
        incarnation: Incarnation,
        request: Request,
    ) -> Option<Command<Origin>> {
        let to = Origin::Node { node, incarnation };
        Some(match request {
            Request::Register => {
                let it = &self.nodes[node];
                let name = NodeId::new(it.name.clone()).ok()?;
                let capabilities = it.capabilities.clone();
                let registration = Registration { node: name, incarnation, capabilities };
                Command::Register { registration, to }
            }
            Request::Attach { session, status } => {
                Command::Attach { session, incarnation, status, to }
            }
            Request::Status { session, connection, status } => {
                Command::Status { session, connection: inside(connection), status, acknowledge: 0 }
            }
            Request::Heartbeat { session, status } => {
                Command::Heartbeat { session, incarnation, status, to }
            }
            Request::Poll { session, status } => {
                let until = self.now.after(Duration::from_millis(TICK_MS));
                Command::Poll { session, incarnation, status, until, to }
            }
            Request::Report { session, report } => {
                let (part, fence) = (report.part, report.fence);
                let to = Origin::Report { node, incarnation, part, fence };
                Command::Report { session, incarnation, report, to }
            }
        })
    }

    pub(super) fn send_to_node(
        &mut self,
        to: NodeIndex,
        incarnation: Incarnation,
        what: Arrival,
        ms: u64,
    ) {
        let at = self.now.after(Duration::from_millis(ms));
        self.agenda.put(at, Happening::ToNode { to, incarnation, what });
    }

    pub(super) fn send_all(&mut self, from: NodeIndex, requests: Vec<Request>) {
        let incarnation = self.nodes[from].incarnation;
        for request in requests {
            // What goes over a stream arrives in order or not at all.
            let streamed = matches!(request, Request::Status { .. });
            if !streamed && self.loses() {
                continue;
            }
            let delay = if streamed {
                Duration::from_millis(1)
            } else if self.in_trouble() && chance(&mut self.random, 30) {
                between(&mut self.random, 1_000, 12_000)
            } else {
                between(&mut self.random, 1, 10)
            };
            let request = Happening::Request { from, incarnation, request };
            self.agenda.put(self.now.after(delay), request);
        }
    }

    /// Whether this process still runs and is not frozen; puts off what reaches a frozen one.
    pub(super) fn awake(
        &mut self,
        node: NodeIndex,
        incarnation: Incarnation,
        again: Happening,
    ) -> bool {
        let it = &self.nodes[node];
        if it.incarnation != incarnation || it.process == Process::Down {
            return false;
        }
        if it.process == Process::Frozen {
            let until = self.frozen_until.get(&node).copied().unwrap_or(self.now);
            self.agenda.put(until.after(Duration::from_millis(1)), again);
            return false;
        }
        true
    }

    pub(super) fn node_gets(&mut self, to: NodeIndex, incarnation: Incarnation, what: Arrival) {
        let again = Happening::ToNode { to, incarnation, what: what.clone() };
        if self.awake(to, incarnation, again) {
            let requests = self.nodes[to].arrive(what, self.now, &mut self.random);
            self.send_all(to, requests);
        }
    }

    pub(super) fn node_ticks(&mut self, node: NodeIndex, incarnation: Incarnation) {
        if !self.awake(node, incarnation, Happening::Tick { node, incarnation }) {
            return;
        }
        let now = self.now;
        let poison = |part: PartId| part.0.is_multiple_of(POISON_EVERY);
        if self.nodes[node].running.iter().any(|e| e.until <= now && poison(e.part)) {
            return self.crash_node(node);
        }
        for (digest, part, fence) in self.nodes[node].finish_due(now, &mut self.random) {
            self.model.executions.insert(digest, (part, fence));
        }
        let requests = self.nodes[node].tick(now);
        self.send_all(node, requests);
        let tick = now.after(Duration::from_millis(TICK_MS));
        let next = self.nodes[node].running.iter().map(|e| e.until).chain([tick]).min();
        let next = next.unwrap_or(tick).max(now.after(Duration::from_millis(5)));
        self.agenda.put(next, Happening::Tick { node, incarnation });
    }

    pub(super) fn node_starts(&mut self, node: NodeIndex) {
        if self.nodes[node].process == Process::Frozen {
            let later = self.frozen_until.get(&node).copied().unwrap_or(self.now);
            return self.agenda.put(later.after(Duration::from_secs(1)), Happening::Start { node });
        }
        self.end_streams_of(node);
        self.incarnations += 1;
        let incarnation = Incarnation(self.incarnations);
        self.nodes[node].start(incarnation);
        self.agenda.put(self.now, Happening::Tick { node, incarnation });
    }

    pub(super) fn node_resumes(&mut self, node: NodeIndex) {
        if self.nodes[node].process == Process::Frozen {
            self.nodes[node].process = Process::Up;
        }
    }
}
