//! What goes wrong.

use super::*;

impl World {
    pub(super) fn end_streams_of(&mut self, node: NodeIndex) {
        let mut ended: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, (_, owner, _))| *owner == node)
            .map(|(connection, (session, ..))| (*connection, *session))
            .collect();
        ended.sort_unstable();
        for (connection, session) in ended {
            let at = self.now.after(Duration::from_millis(2));
            self.agenda.put(at, Happening::StreamEnded { session, connection });
        }
    }

    pub(super) fn crash_node(&mut self, node: NodeIndex) {
        self.stats.node_crashes += 1;
        self.end_streams_of(node);
        self.leave_reports_behind(node);
        self.nodes[node].process = Process::Down;
        let at = self.now.after(between(&mut self.random, 200, 15_000));
        self.agenda.put(at, Happening::Start { node });
    }

    /// What the process has sent in its last moments arrives later, perhaps in its successor's life.
    fn leave_reports_behind(&mut self, node: NodeIndex) {
        let it = &self.nodes[node];
        let Some(session) = it.session else { return };
        let incarnation = it.incarnation;
        let reports: Vec<_> = it.spool.iter().cloned().map(Box::new).collect();
        for report in reports {
            let at = self.now.after(between(&mut self.random, 1, 25_000));
            let request = Request::Report { session, report };
            self.agenda.put(at, Happening::Request { from: node, incarnation, request });
        }
    }

    pub(super) fn fault(&mut self) {
        let node = usize::try_from(self.random.below(NODES as u64)).expect("small");
        match self.random.below(10) {
            0..=2 if self.nodes[node].process == Process::Up => self.crash_node(node),
            3..=5 if self.nodes[node].process == Process::Up => {
                self.stats.pauses += 1;
                let until = self.now.after(between(&mut self.random, 500, 30_000));
                self.nodes[node].process = Process::Frozen;
                self.frozen_until.insert(node, until);
                self.agenda.put(until, Happening::Resume { node });
            }
            6..=8 => {
                self.stats.broken_streams += 1;
                let incarnation = self.nodes[node].incarnation;
                let connection = self.nodes[node].connection;
                self.end_streams_of(node);
                let after_ms = self.random.below(6_000);
                let what = Arrival::StreamLost { connection };
                self.send_to_node(node, incarnation, what, after_ms);
            }
            _ => {
                if self.controller.is_some() {
                    self.kill_controller();
                }
            }
        }
    }
}
