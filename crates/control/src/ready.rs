//! The parts that wait, in the order in which they are served.
//!
//! Within what a node can do: the most urgent priority first; among its tenants round robin, so
//! that none starves another; of one tenant the oldest part. Every
//! [`AGING_EVERY`](crate::Config::AGING_EVERY)-th pick goes to the oldest part of all, so that the
//! least urgent is served at last. A part that was retried keeps its age.

use std::collections::{BTreeMap, HashMap, VecDeque};

use types::{Fence, PartId, Priority, Requirements, Timestamp};

use crate::command::Waiting;
use crate::config::Config;
use crate::intern::Interner;
use crate::retry::Tally;

const LEVELS: usize = Priority::MAX.get() as usize + 1;

/// The queue a part stands in. Each live part holds one use of its tenant's and class's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub tenant: u32,
    pub class: u32,
    pub priority: u8,
}

/// A waiting part in little room: a million of them may wait, nearly all never tried.
#[derive(Debug)]
struct Packed {
    available_at: Timestamp,
    tries: Option<Box<Tries>>,
    errors_max: u16,
    part_index: u16,
    part_count: u16,
}

/// What a part that was leased before has behind it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tries {
    fence: Fence,
    attempt: u32,
    errors: u16,
    crashes: u16,
}

impl Packed {
    fn new(waiting: Waiting) -> Self {
        let Waiting { available_at, fence, attempt, tally, part_index, part_count } = waiting;
        let Tally { errors, crashes, errors_max } = tally;
        let tries = Tries { fence, attempt, errors, crashes };
        let tries = (tries != Tries::default()).then(|| Box::new(tries));
        Self { available_at, tries, errors_max, part_index, part_count }
    }

    fn unpack(self) -> Waiting {
        let Self { available_at, tries, errors_max, part_index, part_count } = self;
        let Tries { fence, attempt, errors, crashes } = tries.map_or_else(Tries::default, |it| *it);
        let tally = Tally { errors, crashes, errors_max };
        Waiting { available_at, fence, attempt, tally, part_index, part_count }
    }
}

/// The parts of one tenant and class, the oldest first.
type Line = BTreeMap<PartId, Packed>;

#[derive(Debug, Default)]
struct Level {
    tenants: HashMap<u32, BTreeMap<u32, Line>>,
    /// Exactly the tenants in `tenants`, whose turn is next first.
    rotation: VecDeque<u32>,
    /// How many parts of each class.
    classes: BTreeMap<u32, usize>,
}

impl Level {
    fn insert(&mut self, key: Key, part: PartId, waiting: Waiting) {
        let rotation = &mut self.rotation;
        let tenant = self.tenants.entry(key.tenant).or_insert_with(|| {
            rotation.push_back(key.tenant);
            BTreeMap::new()
        });
        tenant.entry(key.class).or_default().insert(part, Packed::new(waiting));
        *self.classes.entry(key.class).or_default() += 1;
    }

    fn remove(&mut self, key: Key, part: PartId) -> Option<Waiting> {
        let tenant = self.tenants.get_mut(&key.tenant)?;
        let queue = tenant.get_mut(&key.class)?;
        let waiting = queue.remove(&part)?.unpack();
        if queue.is_empty() {
            tenant.remove(&key.class);
        }
        if tenant.is_empty() {
            self.tenants.remove(&key.tenant);
            self.rotation.retain(|other| *other != key.tenant);
        }
        if let Some(count) = self.classes.get_mut(&key.class) {
            *count -= 1;
            if *count == 0 {
                self.classes.remove(&key.class);
            }
        }
        Some(waiting)
    }

    fn serves(&self, can_run: &impl Fn(u32) -> bool) -> bool {
        self.classes.keys().any(|class| can_run(*class))
    }

    /// The next part by the tenants' turns; moves its tenant to the end.
    fn next(&mut self, can_run: &impl Fn(u32) -> bool) -> Option<(u32, u32, PartId)> {
        let oldest = |classes: &BTreeMap<u32, Line>| {
            let heads = classes.iter().filter(|(class, _)| can_run(**class));
            heads.filter_map(|(class, queue)| Some((*queue.first_key_value()?.0, *class))).min()
        };
        let found = self.rotation.iter().enumerate().find_map(|(turn, tenant)| {
            let (part, class) = oldest(self.tenants.get(tenant)?)?;
            Some((turn, *tenant, class, part))
        });
        let (turn, tenant, class, part) = found?;
        self.rotation.remove(turn);
        self.rotation.push_back(tenant);
        Some((tenant, class, part))
    }

    /// The oldest part: of all queues' heads the smallest.
    fn oldest(&self, can_run: &impl Fn(u32) -> bool) -> Option<(PartId, u32, u32)> {
        let queues = self.tenants.iter().flat_map(|(tenant, classes)| {
            classes.iter().map(move |(class, queue)| (*tenant, *class, queue))
        });
        queues
            .filter(|(_, class, _)| can_run(*class))
            .filter_map(|(tenant, class, queue)| Some((*queue.first_key_value()?.0, tenant, class)))
            .min()
    }
}

#[derive(Debug)]
pub(crate) struct Ready {
    levels: [Level; LEVELS],
    /// Parts whose time has not come.
    delayed: BTreeMap<(Timestamp, PartId), (Key, Waiting)>,
    delayed_until: HashMap<PartId, Timestamp>,
    tenants: Interner<str>,
    classes: Interner<Requirements>,
    len: usize,
    picks: u32,
}

/// Says that too many distinct requirements wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyClasses;

impl Ready {
    pub(crate) fn new() -> Self {
        Self {
            levels: Default::default(),
            delayed: BTreeMap::new(),
            delayed_until: HashMap::new(),
            tenants: Interner::new(),
            classes: Interner::new(),
            len: 0,
            picks: 0,
        }
    }

    /// Takes a key's numbers for one part.
    pub(crate) fn key(
        &mut self,
        tenant: &str,
        priority: u8,
        requirements: &Requirements,
    ) -> Result<Key, TooManyClasses> {
        let full = self.classes.len() >= Config::CLASSES_MAX;
        if full && self.classes.find(requirements).is_none() {
            return Err(TooManyClasses);
        }
        Ok(self.key_unbounded(tenant, priority, requirements))
    }

    /// Like [`key`](Self::key), for what is in the store already.
    pub(crate) fn key_unbounded(
        &mut self,
        tenant: &str,
        priority: u8,
        requirements: &Requirements,
    ) -> Key {
        let share = || std::sync::Arc::new(requirements.clone());
        let class = self.classes.take_with(requirements, share);
        let tenant = self.tenants.take_with(tenant, || tenant.into());
        Key { tenant, class, priority: priority.min(Priority::MAX.get()) }
    }

    /// Holds a key's numbers once more.
    pub(crate) fn again(&mut self, key: Key) {
        self.tenants.again(key.tenant);
        self.classes.again(key.class);
    }

    /// The classes of live parts.
    pub(crate) fn live_classes(&self) -> Vec<u32> {
        self.classes.numbers()
    }

    /// The key of a live part of this tenant, priority and need, without taking it.
    pub(crate) fn find_key(
        &self,
        tenant: &str,
        priority: u8,
        requirements: &Requirements,
    ) -> Option<Key> {
        let class = self.classes.find(requirements)?;
        let tenant = self.tenants.find(tenant)?;
        Some(Key { tenant, class, priority: priority.min(Priority::MAX.get()) })
    }

    /// Gives back the numbers of a part that is live no more; true when its class is gone.
    pub(crate) fn release(&mut self, key: Key) -> bool {
        self.tenants.release(key.tenant);
        self.classes.release(key.class)
    }

    pub(crate) fn requirements(&self, class: u32) -> Option<&Requirements> {
        self.classes.get(class).map(AsRef::as_ref)
    }

    pub(crate) fn insert(&mut self, key: Key, part: PartId, waiting: Waiting, now: Timestamp) {
        self.len += 1;
        if waiting.available_at > now {
            self.delayed.insert((waiting.available_at, part), (key, waiting));
            self.delayed_until.insert(part, waiting.available_at);
        } else {
            self.levels[usize::from(key.priority)].insert(key, part, waiting);
        }
    }

    pub(crate) fn remove(&mut self, key: Key, part: PartId) -> Option<Waiting> {
        let removed = match self.delayed_until.remove(&part) {
            Some(at) => self.delayed.remove(&(at, part)).map(|(_, waiting)| waiting),
            None => self.levels[usize::from(key.priority)].remove(key, part),
        };
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub(crate) fn contains(&self, key: Key, part: PartId) -> bool {
        self.delayed_until.contains_key(&part)
            || self.levels[usize::from(key.priority)]
                .tenants
                .get(&key.tenant)
                .and_then(|classes| classes.get(&key.class))
                .is_some_and(|queue| queue.contains_key(&part))
    }

    /// Lets parts whose time has come join the others.
    pub(crate) fn promote(&mut self, now: Timestamp) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let ((_, part), (key, waiting)) = first.remove_entry();
            self.delayed_until.remove(&part);
            self.levels[usize::from(key.priority)].insert(key, part, waiting);
        }
    }

    /// When the next part's time comes.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whether anything waits that can be run.
    pub(crate) fn serves(&self, can_run: impl Fn(u32) -> bool) -> bool {
        self.levels.iter().any(|level| level.serves(&can_run))
    }

    /// Takes the next part of what can be run.
    pub(crate) fn pick(&mut self, can_run: impl Fn(u32) -> bool) -> Option<(Key, PartId, Waiting)> {
        self.picks = self.picks.wrapping_add(1);
        let (key, part) = if self.picks.is_multiple_of(Config::AGING_EVERY) {
            let heads = self.levels.iter().zip(0_u8..).filter_map(|(level, priority)| {
                let (part, tenant, class) = level.oldest(&can_run)?;
                Some((part, Key { tenant, class, priority }))
            });
            let (part, key) = heads.min_by_key(|(part, _)| *part)?;
            (key, part)
        } else {
            let mut levels = self.levels.iter_mut().rev().zip((0..=Priority::MAX.get()).rev());
            levels.find_map(|(level, priority)| {
                if !level.serves(&can_run) {
                    return None;
                }
                let (tenant, class, part) = level.next(&can_run)?;
                Some((Key { tenant, class, priority }, part))
            })?
        };
        let waiting = self.remove(key, part)?;
        Some((key, part, waiting))
    }

    /// Parts that wait, delayed ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn delayed_len(&self) -> usize {
        self.delayed.len()
    }

    /// Since when the oldest ready part has waited.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let classes = self.levels.iter().flat_map(|level| level.tenants.values());
        let queues = classes.flat_map(BTreeMap::values);
        queues.filter_map(|queue| Some(queue.first_key_value()?.1.available_at)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_000);

    fn waiting(available_at: Timestamp) -> Waiting {
        let (fence, tally) = (Fence(0), Tally::default());
        Waiting { available_at, fence, attempt: 0, tally, part_index: 0, part_count: 1 }
    }

    fn ready(parts: &[(u64, &str, u8)]) -> Ready {
        let mut ready = Ready::new();
        for (part, tenant, priority) in parts {
            let key = ready.key(tenant, *priority, &Requirements::default()).expect("few");
            ready.insert(key, PartId(*part), waiting(NOW), NOW);
        }
        ready
    }

    fn order(ready: &mut Ready) -> Vec<u64> {
        std::iter::from_fn(|| ready.pick(|_| true)).map(|(_, part, _)| part.0).collect()
    }

    #[test]
    fn a_waiting_part_takes_little_room_and_loses_nothing() {
        assert!(size_of::<(PartId, Packed)>() <= 32);
        let tally = Tally { errors: 2, crashes: 1, errors_max: 3 };
        let fence = Fence(u64::from(u32::MAX) + 1);
        let tried = Waiting { fence, attempt: 7, tally, part_index: 5, ..waiting(NOW) };
        for waiting in [waiting(NOW), tried] {
            assert_eq!(Packed::new(waiting).unpack(), waiting);
        }
    }

    #[test]
    fn urgent_parts_go_first_then_old_ones() {
        let mut ready = ready(&[(1, "", 5), (2, "", 9), (3, "", 0), (4, "", 5), (5, "", 9)]);
        assert_eq!(order(&mut ready), [2, 5, 1, 4, 3]);
    }

    #[test]
    fn a_tenant_with_a_backlog_does_not_starve_another() {
        let mut parts: Vec<_> = (1..=10).map(|part| (part, "big", 5)).collect();
        parts.extend([(11, "small", 5), (12, "small", 5)]);
        assert_eq!(order(&mut ready(&parts))[..5], [1, 11, 2, 12, 3]);
    }

    #[test]
    fn the_least_urgent_part_is_served_within_its_share_of_picks() {
        let mut parts = vec![(1, "", 0)];
        parts.extend((2..200).map(|part| (part, "", 9)));
        let place = order(&mut ready(&parts)).iter().position(|part| *part == 1);
        assert_eq!(place, Some(Config::AGING_EVERY as usize - 1));
    }

    #[test]
    fn a_retried_part_waits_for_its_time_and_then_keeps_its_age() {
        let mut ready = ready(&[(2, "", 5)]);
        let key = ready.key("", 5, &Requirements::default()).expect("few");
        let due = Timestamp::from_unix_micros(2_000);
        ready.insert(key, PartId(1), waiting(due), NOW);
        assert_eq!((ready.len(), ready.delayed_len(), ready.next_due()), (2, 1, Some(due)));
        ready.promote(Timestamp::from_unix_micros(1_999));
        assert_eq!(ready.delayed_len(), 1);
        ready.promote(due);
        assert_eq!(order(&mut ready), [1, 2]);
        assert_eq!(ready.len(), 0);
    }

    #[test]
    fn what_a_node_cannot_run_is_left_for_others() {
        let mut ready = Ready::new();
        let needs = Requirements { backend: Some("gpu".into()), ..Requirements::default() };
        let gpu = ready.key("", 9, &needs).expect("few");
        let any = ready.key("", 1, &Requirements::default()).expect("few");
        ready.insert(gpu, PartId(1), waiting(NOW), NOW);
        ready.insert(any, PartId(2), waiting(NOW), NOW);
        let picked = ready.pick(|class| class != gpu.class).map(|(_, part, _)| part);
        assert_eq!(picked, Some(PartId(2)));
        assert!(!ready.serves(|class| class != gpu.class));
        assert!(ready.contains(gpu, PartId(1)));
    }
}
