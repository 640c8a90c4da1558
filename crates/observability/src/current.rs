//! What is current on a thread: contexts, and the served calls themselves.
//!
//! They form a stack, the innermost last. A call that is followed lies there itself while its code
//! runs, so that its context need not be copied and its handler finds its span; what followed
//! calls lie in is used again by the next calls of the thread.
//!
//! Nothing here panics: where a thread ends, or within the reading of what is current, the context
//! is the empty one and nothing is attached.

use std::cell::{RefCell, RefMut};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use crate::context::Context;
use crate::span::ActiveSpan;
use crate::spare::Spare;

/// Contexts that are attached to a thread at once; further ones are not. Only guards that are never
/// dropped, or recursion without end, come so far.
const DEPTH_MAX: usize = 1 << 16;

/// What a followed call leaves behind, and for a server that its handler may reach it.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) span: ActiveSpan,
    /// The name it gets should somebody ask for its trace.
    pub(crate) name: &'static str,
    /// Whether a handler runs that may reach the span.
    pub(crate) serves: bool,
}

/// Where what is followed lies, so that futures and bodies, which are moved often, stay small.
pub(crate) type Place = Box<Option<Followed>>;

/// What is current, but is not the innermost call.
#[derive(Debug)]
enum Entry {
    Context(Context),
    Call(Place),
    /// Its guard was dropped before those above it.
    Gone,
}

/// What a thread has at hand. A call that is the innermost of all, as one whose code runs usually is, lies
/// apart: to put it there and to take it back is two writes.
struct Thread {
    innermost: RefCell<Option<Place>>,
    /// All others, the innermost last. A call goes here when something is put above it.
    stack: RefCell<Vec<Entry>>,
    /// Places for further calls.
    spare: Spare<Option<Followed>>,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            innermost: RefCell::new(None),
            stack: RefCell::new(Vec::new()),
            spare: Spare::new(),
        }
    };
}

static EMPTY: Context = Context::new();

/// The context of what lies in a place.
fn context_in(place: &Place) -> &Context {
    place.as_ref().as_ref().map_or(&EMPTY, |call| call.span.cx())
}

impl Thread {
    #[inline]
    fn read_current<T>(&self, read: impl FnOnce(&Context) -> T) -> Option<T> {
        if let Some(place) = &*self.innermost.try_borrow().ok()? {
            return Some(read(context_in(place)));
        }
        let stack = self.stack.try_borrow().ok()?;
        let found = stack.iter().rev().find_map(|entry| match entry {
            Entry::Context(cx) => Some(cx),
            Entry::Call(place) => Some(context_in(place)),
            Entry::Gone => None,
        });
        Some(read(found.unwrap_or(&EMPTY)))
    }

    /// Makes room for another innermost one: the call that is it becomes one of the others.
    fn set_aside(&self, innermost: &mut Option<Place>) -> Option<RefMut<'_, Vec<Entry>>> {
        let mut stack = self.stack.try_borrow_mut().ok()?;
        // Room for the call, and for what is put above it.
        if stack.len() + usize::from(innermost.is_some()) >= DEPTH_MAX {
            return None;
        }
        stack.extend(innermost.take().map(Entry::Call));
        Some(stack)
    }

    /// Puts a context above everything, and says where.
    fn attach(&self, cx: Context) -> Option<usize> {
        let mut innermost = self.innermost.try_borrow_mut().ok()?;
        let mut stack = self.set_aside(&mut innermost)?;
        stack.push(Entry::Context(cx));
        Some(stack.len() - 1)
    }

    /// Takes the context that was put at this depth away.
    fn detach(&self, depth: usize) -> Option<Entry> {
        take(&mut *self.stack.try_borrow_mut().ok()?, depth)
    }

    /// Puts a call above everything. Where it cannot, the call stays with its owner.
    #[inline]
    fn lend(&self, call: &mut Option<Place>) -> bool {
        let Ok(mut innermost) = self.innermost.try_borrow_mut() else { return false };
        if innermost.is_some() && self.set_aside(&mut innermost).is_none() {
            return false;
        }
        std::mem::swap(&mut *innermost, call);
        innermost.is_some()
    }

    /// Gives the call back that was lent last: whoever lends one takes it back before those that were
    /// lent earlier.
    #[inline]
    fn give_back(&self, owner: &mut Option<Place>) {
        let Ok(mut innermost) = self.innermost.try_borrow_mut() else { return };
        if innermost.is_some() {
            std::mem::swap(&mut *innermost, owner);
        } else {
            *owner = self.take_from_stack();
        }
    }

    /// The innermost call that was set aside.
    #[cold]
    fn take_from_stack(&self) -> Option<Place> {
        let mut stack = self.stack.try_borrow_mut().ok()?;
        let depth = stack.iter().rposition(|entry| matches!(entry, Entry::Call(_)))?;
        match take(&mut stack, depth) {
            Some(Entry::Call(place)) => Some(place),
            _ => None,
        }
    }

    /// The innermost call whose handler runs.
    fn read_served<T>(&self, read: impl FnOnce(&mut Followed) -> T) -> Option<T> {
        let mut innermost = self.innermost.try_borrow_mut().ok()?;
        let call = innermost.as_mut().and_then(|place| place.as_mut().as_mut());
        if let Some(call) = call.filter(|call| call.serves) {
            return Some(read(call));
        }
        let mut stack = self.stack.try_borrow_mut().ok()?;
        let served = stack.iter_mut().rev().find_map(|entry| match entry {
            Entry::Call(place) => place.as_mut().as_mut().filter(|call| call.serves),
            Entry::Context(_) | Entry::Gone => None,
        });
        served.map(read)
    }
}

/// Takes what lies at this depth off the stack; what lies above stays where it is.
fn take(stack: &mut Vec<Entry>, depth: usize) -> Option<Entry> {
    let taken = std::mem::replace(stack.get_mut(depth)?, Entry::Gone);
    while let Some(Entry::Gone) = stack.last() {
        stack.pop();
    }
    Some(taken)
}

impl Context {
    /// The context of the code that runs now.
    #[must_use]
    pub fn current() -> Self {
        Self::map_current(Self::clone)
    }

    /// Reads the context of the code that runs now.
    #[inline]
    pub(crate) fn map_current<T>(read: impl FnOnce(&Self) -> T) -> T {
        let mut read = Some(read);
        let found = THREAD.try_with(|thread| {
            thread.read_current(|cx| read.take().map(|read| read(cx))).flatten()
        });
        match (found.ok().flatten(), read) {
            (Some(value), _) => value,
            (None, Some(read)) => read(&EMPTY),
            (None, None) => unreachable!("what was read has a value"),
        }
    }

    /// Makes it the current one of this thread until the guard is dropped.
    #[must_use = "it is current only as long as the guard lives"]
    pub fn attach(self) -> ContextGuard {
        let depth = THREAD.try_with(|thread| thread.attach(self)).ok().flatten();
        ContextGuard { depth, _of_this_thread: PhantomData }
    }
}

/// Ends the time in which a context is the current one.
#[derive(Debug)]
pub struct ContextGuard {
    depth: Option<usize>,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        let Some(depth) = self.depth else { return };
        // What is dropped is dropped last: it may ask for the current context itself.
        let _gone = THREAD.try_with(|thread| thread.detach(depth));
    }
}

/// The call of the innermost handler that runs on this thread.
pub(crate) fn with_served<T>(read: impl FnOnce(&mut Followed) -> T) -> Option<T> {
    THREAD.try_with(|thread| thread.read_served(read)).ok().flatten()
}

/// A call that is followed; `None` while it is lent to the thread.
#[derive(Debug)]
pub(crate) struct Held(Option<Place>);

impl Held {
    /// A place that is free.
    pub(crate) fn free() -> Self {
        let spare = THREAD.try_with(|thread| thread.spare.take());
        Self(Some(spare.ok().flatten().unwrap_or_default()))
    }

    /// The place, to put there what is followed; a new one where it was lost.
    #[inline]
    pub(crate) fn place(&mut self) -> &mut Option<Followed> {
        self.0.get_or_insert_default()
    }

    /// Forgets what was followed and keeps the place.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(place) = &mut self.0 {
            **place = None;
        }
    }

    #[inline]
    pub(crate) fn get(&mut self) -> Option<&mut Followed> {
        self.0.as_mut()?.as_mut().as_mut()
    }

    /// Lends it to the thread as long as the answer lives: its context is the current one.
    #[inline]
    pub(crate) fn lend(&mut self) -> Lent<'_> {
        let is_lent = THREAD.try_with(|thread| thread.lend(&mut self.0));
        Lent { is_lent: is_lent.unwrap_or(false), held: self }
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        *place = None;
        // Where the thread itself ends, there is nobody to keep it for.
        let _ = THREAD.try_with(|thread| thread.spare.keep(place));
    }
}

/// Takes a call that was lent back when dropped, also where its code panics.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    held: &'a mut Held,
    is_lent: bool,
}

impl Drop for Lent<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_lent {
            let owner = &mut self.held.0;
            // Where the thread itself ends the call is gone with it.
            let _ = THREAD.try_with(|thread| thread.give_back(owner));
        }
    }
}

pin_project! {
    /// A future that runs in a context.
    #[derive(Debug, Clone)]
    #[must_use = "futures do nothing unless polled"]
    pub struct WithContext<F> {
        #[pin]
        inner: F,
        cx: Context,
    }
}

impl<F: Future> Future for WithContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _current = this.cx.clone().attach();
        this.inner.poll(task)
    }
}

/// Runs `future` with `cx` as the current context whenever it is polled: its logs, spans and calls
/// belong to the span of `cx`.
pub fn with_context<F>(cx: Context, future: F) -> WithContext<F> {
    WithContext { inner: future, cx }
}

#[cfg(test)]
mod tests {
    use types::TraceContext;

    use super::*;
    use crate::propagation::{Origin, context_of, current_trace};

    fn cx(last: u8) -> Context {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902{last:02x}-01");
        context_of(&TraceContext::parse(&text, "").expect("valid"), Origin::Local)
    }

    fn last() -> Option<u8> {
        current_trace().map(|trace| trace.span_id.to_bytes()[7])
    }

    #[test]
    fn contexts_are_current_until_their_guards_are_dropped() {
        assert_eq!(last(), None);
        let outer = cx(1).attach();
        {
            let _inner = cx(2).attach();
            assert_eq!(last(), Some(2));
        }
        assert_eq!(last(), Some(1));
        drop(outer);
        assert_eq!(last(), None);
    }

    #[test]
    fn guards_that_are_dropped_out_of_order_leave_the_innermost() {
        let (a, b, c) = (cx(1).attach(), cx(2).attach(), cx(3).attach());
        drop(b);
        assert_eq!(last(), Some(3));
        drop(c);
        assert_eq!(last(), Some(1));
        let d = cx(4).attach();
        drop(a);
        assert_eq!(last(), Some(4));
        drop(d);
        assert_eq!(last(), None);
        THREAD.with(|thread| assert!(thread.stack.borrow().is_empty()));
    }

    #[test]
    fn what_is_attached_within_a_look_at_the_current_one_harms_nothing() {
        let _outer = cx(1).attach();
        Context::map_current(|current| {
            let _refused = cx(2).attach();
            assert_eq!(Context::map_current(Context::trace), current.trace());
        });
        assert_eq!(last(), Some(1));
    }

    #[test]
    fn beyond_the_bound_the_current_one_stays() {
        let mut guards: Vec<_> = (0..DEPTH_MAX).map(|_| cx(1).attach()).collect();
        let refused = cx(2).attach();
        assert_eq!(last(), Some(1));
        drop(refused);
        assert_eq!(last(), Some(1));
        while guards.pop().is_some() {}
        assert_eq!(last(), None);
    }

    fn call(last: u8, serves: bool) -> Held {
        let trace = cx(last);
        let span = ActiveSpan::without_record(trace, crate::clock::Moment::now());
        let mut held = Held::free();
        *held.place() = Some(Followed { span, name: "", serves });
        held
    }

    #[test]
    fn calls_and_contexts_within_each_other_are_current_in_their_order() {
        let (mut server, mut client) = (call(1, true), call(2, false));
        {
            let _server = server.lend();
            assert_eq!((last(), with_served(|_| ())), (Some(1), Some(())));
            let left = cx(3).attach();
            assert_eq!((last(), with_served(|_| ())), (Some(3), Some(())));
            let kept = {
                let _client = client.lend();
                // A client's span is none that its handler reaches: that of the server is.
                let served = with_served(|call| call.span.trace().map(|trace| trace.span_id));
                assert_eq!(last(), Some(2));
                assert_eq!(served.flatten().map(|id| id.to_bytes()[7]), Some(1));
                drop(left);
                assert_eq!(last(), Some(2));
                cx(4).attach()
            };
            // Its guard outlives the call in which it was made.
            assert_eq!(last(), Some(4));
            assert!(client.get().is_some(), "given back");
            drop(kept);
            assert_eq!(last(), Some(1));
        }
        assert!(server.get().is_some(), "given back");
        assert_eq!((last(), with_served(|_| ())), (None, None));
        THREAD.with(|thread| assert!(thread.stack.borrow().is_empty()));
    }

    #[test]
    fn a_call_that_finds_no_room_stays_with_its_owner() {
        let guards: Vec<_> = (0..DEPTH_MAX).map(|_| cx(1).attach()).collect();
        let (mut one, mut other) = (call(2, true), call(3, true));
        {
            let _one = one.lend();
            assert_eq!(last(), Some(2));
            let _other = other.lend();
            assert_eq!(last(), Some(2), "it found no room");
        }
        assert!(one.get().is_some() && other.get().is_some());
        assert_eq!(last(), Some(1));
        guards.into_iter().rev().for_each(drop);
        assert_eq!(last(), None);
    }

    #[test]
    fn a_panic_in_a_context_leaves_the_thread_as_it_was() {
        let caught = std::panic::catch_unwind(|| {
            let _current = cx(1).attach();
            panic!("of the code within");
        });
        assert!(caught.is_err());
        assert_eq!(last(), None);
    }

    #[test]
    fn each_thread_has_its_own() {
        let _here = cx(1).attach();
        let there = std::thread::spawn(last).join().expect("no panic");
        assert_eq!(there, None);
    }
}
