//! Those who submit, cancel, retry and drain.

use super::*;

impl World {
    pub(super) fn client_submits(&mut self, key: u64) -> Result<(), Violation> {
        if self.model.acked.contains_key(&key) {
            return Ok(());
        }
        self.agenda.put(self.now.after(Duration::from_secs(3)), Happening::Submit { key });
        let draft = draft(key);
        let trace = draft.trace.trace_id;
        let (spec, parts) = ((*draft.spec).clone(), draft.parts.len());
        self.model.asked.insert(key, KnownJob { spec, trace, parts });
        self.take(Command::Submit { drafts: vec![draft], to: Origin::Submit { key } })
    }

    pub(super) fn some_job(&mut self) -> Option<JobId> {
        let mut known: Vec<JobId> = self.model.acked.values().copied().collect();
        known.sort_unstable();
        let index = self.random.below(known.len() as u64);
        known.get(usize::try_from(index).ok()?).copied()
    }

    pub(super) fn client_cancels(&mut self) -> Result<(), Violation> {
        let Some(job) = self.some_job() else { return Ok(()) };
        // As in production, the job is looked up right before the step.
        self.turn()?;
        let Some((store, _)) = &mut self.controller else { return Ok(()) };
        let Some(found) = store.reader().locate(job).expect("in good order") else {
            return violated("I1", format!("job {job} cannot be found"));
        };
        self.take(Command::Cancel { job: found, to: Origin::Cancel { job } })
    }

    pub(super) fn client_retries(&mut self) -> Result<(), Violation> {
        let Some(job) = self.some_job() else { return Ok(()) };
        self.turn()?;
        let Some((store, _)) = &mut self.controller else { return Ok(()) };
        let parts = store.reader().failed_parts(job).expect("in good order");
        self.pending.push(Command::Retry { parts, to: Origin::Operator });
        self.turn()
    }

    pub(super) fn operator_drains(&mut self) -> Result<(), Violation> {
        let index = usize::try_from(self.random.below(NODES as u64)).expect("small");
        let node = NodeId::new(self.nodes[index].name.clone()).expect("a good name");
        // A drained node leaves when it is done, and starts anew.
        self.agenda.put(self.now.after(Duration::from_secs(20)), Happening::Start { node: index });
        self.take(Command::Drain { node, undo: false, to: Origin::Operator })
    }
}

fn draft(key: u64) -> Draft {
    let mut random = Random::new(key + 1);
    let mut spec = JobSpec::pair(MediaRef::new("/r.y4m"), MediaRef::new("/d.y4m"));
    let priority = u8::try_from(random.below(10)).expect("below ten");
    spec.priority = Priority::new(priority).expect("below ten");
    spec.attempts_max =
        NonZeroU32::new(1 + u32::try_from(random.below(4)).expect("small")).expect("at least one");
    spec.requirements.codecs = match random.below(4) {
        0 => vec!["raw".into()],
        1 => vec!["h264".into()],
        _ => vec!["y4m".into()],
    };
    let range = |index: u64| Some(FrameRange { first_frame_index: index * 10, frame_count: 10 });
    let parts = match random.below(4) {
        0 => (0..3).map(range).collect(),
        _ => vec![None],
    };
    let trace_id = TraceId::new((u128::from(key) + 1).to_be_bytes()).expect("not zero");
    let span_id = SpanId::new((key + 1).to_be_bytes()).expect("not zero");
    Draft {
        spec_encoded: store::codec::encode_spec(&spec).expect("plain data").into(),
        spec: Arc::new(spec),
        tenant: format!("tenant-{}", key % 3).into(),
        parts,
        idempotency: Some(Idempotency { key: key.to_string(), body_digest: [1; 32] }),
        existing: None,
        trace: TraceContext {
            trace_id,
            span_id,
            flags: TraceFlags::default(),
            tracestate: String::new(),
        },
        root_span_id: span_id,
        call: None,
    }
}
