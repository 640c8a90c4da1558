//! What is current on a thread: contexts, and the served calls themselves.
//!
//! They form a stack, the innermost last. A call that is followed lies on it itself while its code
//! runs, so that its context need not be copied there and its handler finds its span; what followed
//! calls lie in is used again by the next calls of the thread.
//!
//! Nothing here panics: where a thread ends, or within the reading of what is current, the context
//! is the empty one and nothing is attached.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use crate::context::Context;
use crate::span::ActiveSpan;

/// Contexts that are attached to a thread at once; further ones are not. Only guards that are never
/// dropped, or recursion without end, come so far.
const DEPTH_MAX: usize = 1 << 16;

/// Places that a thread keeps for further calls.
const PLACES_SPARE_MAX: usize = 64;

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

#[derive(Debug)]
enum Entry {
    Context(Context),
    Call(Place),
    /// Its guard was dropped before those above it.
    Gone,
}

/// What a thread has at hand.
struct Thread {
    stack: Vec<Entry>,
    spare: Vec<Place>,
}

thread_local! {
    static THREAD: RefCell<Thread> = const {
        RefCell::new(Thread { stack: Vec::new(), spare: Vec::new() })
    };
}

static EMPTY: Context = Context::new();

impl Thread {
    #[inline]
    fn current(&self) -> &Context {
        for entry in self.stack.iter().rev() {
            match entry {
                Entry::Context(cx) => return cx,
                Entry::Call(place) => {
                    return place.as_ref().as_ref().map_or(&EMPTY, |call| call.span.cx());
                }
                Entry::Gone => {}
            }
        }
        &EMPTY
    }
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
            let thread = thread.try_borrow().ok()?;
            read.take().map(|read| read(thread.current()))
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
        let depth = push(&mut Some(Entry::Context(self)));
        ContextGuard { depth, _of_this_thread: PhantomData }
    }
}

/// Puts something on the stack and says where. Where it cannot, the entry stays with its owner.
#[inline(always)]
fn push(entry: &mut Option<Entry>) -> Option<usize> {
    let pushed = THREAD.try_with(|thread| {
        let mut thread = thread.try_borrow_mut().ok()?;
        let depth = thread.stack.len();
        if depth == DEPTH_MAX {
            return None;
        }
        thread.stack.push(entry.take()?);
        Some(depth)
    });
    pushed.ok().flatten()
}

/// Ends the time in which a context is the current one.
#[derive(Debug)]
pub struct ContextGuard {
    depth: Option<usize>,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        // What is dropped is dropped last: it may ask for the current context itself.
        let _gone = self.depth.and_then(take);
    }
}

/// Takes what was put at this depth off the stack.
#[inline(always)]
fn take(depth: usize) -> Option<Entry> {
    let taken = THREAD.try_with(|thread| {
        let mut thread = thread.try_borrow_mut().ok()?;
        if depth + 1 != thread.stack.len() {
            return thread.stack.get_mut(depth).map(|entry| std::mem::replace(entry, Entry::Gone));
        }
        let taken = thread.stack.pop();
        while let Some(Entry::Gone) = thread.stack.last() {
            thread.stack.pop();
        }
        taken
    });
    taken.ok().flatten()
}

/// The call of the innermost handler that runs on this thread.
pub(crate) fn with_served<T>(read: impl FnOnce(&mut Followed) -> T) -> Option<T> {
    let read_innermost = |thread: &RefCell<Thread>| {
        let mut thread = thread.try_borrow_mut().ok()?;
        let served = thread.stack.iter_mut().rev().find_map(|entry| match entry {
            Entry::Call(place) => place.as_mut().as_mut().filter(|call| call.serves),
            Entry::Context(_) | Entry::Gone => None,
        });
        served.map(read)
    };
    THREAD.try_with(read_innermost).ok().flatten()
}

/// A call that is followed; `None` while it lies on the thread's stack.
#[derive(Debug)]
pub(crate) struct Held(Option<Place>);

impl Held {
    #[inline]
    pub(crate) fn new(followed: Followed) -> Self {
        let spare = THREAD.try_with(|thread| thread.try_borrow_mut().ok()?.spare.pop());
        let mut place = spare.ok().flatten().unwrap_or_default();
        *place = Some(followed);
        Self(Some(place))
    }

    #[inline]
    pub(crate) fn get(&mut self) -> Option<&mut Followed> {
        self.0.as_mut()?.as_mut().as_mut()
    }

    /// Lends it to the thread as long as the answer lives: its context is the current one.
    #[inline]
    pub(crate) fn lend(&mut self) -> Lent<'_> {
        let mut entry = self.0.take().map(Entry::Call);
        let depth = push(&mut entry);
        if let Some(Entry::Call(refused)) = entry {
            self.0 = Some(refused);
        }
        Lent { held: self, depth }
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        *place = None;
        // Where the thread itself ends, there is nobody to keep it for.
        let _ = THREAD.try_with(|thread| {
            if let Ok(mut thread) = thread.try_borrow_mut()
                && thread.spare.len() < PLACES_SPARE_MAX
            {
                thread.spare.push(place);
            }
        });
    }
}

/// Takes a call that was lent back when dropped, also where its code panics.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    held: &'a mut Held,
    depth: Option<usize>,
}

impl Drop for Lent<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(Entry::Call(place)) = self.depth.and_then(take) {
            self.held.0 = Some(place);
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
        THREAD.with_borrow(|thread| assert!(thread.stack.is_empty()));
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
