//! Small numbers for values that many parts or nodes share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Gives each distinct value a number for as long as somebody uses it.
#[derive(Debug)]
pub(crate) struct Interner<V: ?Sized> {
    numbers: HashMap<Arc<V>, u32>,
    values: Vec<Option<(Arc<V>, u64)>>,
    free: Vec<u32>,
}

impl<V: ?Sized + Eq + Hash> Interner<V> {
    pub(crate) fn new() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new(), free: Vec::new() }
    }

    /// The number of a value in use.
    pub(crate) fn find(&self, value: &V) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    /// Takes the value's number once more, a fresh one when it has none.
    pub(crate) fn take_with(&mut self, value: &V, share: impl FnOnce() -> Arc<V>) -> u32 {
        if let Some(number) = self.numbers.get(value).copied() {
            self.again(number);
            return number;
        }
        let shared = share();
        let number = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            u32::try_from(self.values.len() - 1).expect("fewer values than parts")
        });
        self.values[number as usize] = Some((Arc::clone(&shared), 1));
        self.numbers.insert(shared, number);
        number
    }

    /// Uses a number in use once more.
    pub(crate) fn again(&mut self, number: u32) {
        if let Some((_, uses)) = &mut self.values[number as usize] {
            *uses += 1;
        }
    }

    /// Gives a number back; true when that was its last use.
    pub(crate) fn release(&mut self, number: u32) -> bool {
        let slot = &mut self.values[number as usize];
        let Some((value, uses)) = slot else { return false };
        *uses -= 1;
        if *uses > 0 {
            return false;
        }
        self.numbers.remove(value);
        *slot = None;
        self.free.push(number);
        true
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Arc<V>> {
        self.values.get(number as usize)?.as_ref().map(|(value, _)| value)
    }

    /// All numbers in use.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.numbers.values().copied().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(names: &mut Interner<str>, name: &str) -> u32 {
        names.take_with(name, || name.into())
    }

    #[test]
    fn a_number_lives_as_long_as_it_is_used() {
        let mut names = Interner::<str>::new();
        let (a, b) = (take(&mut names, "a"), take(&mut names, "b"));
        assert_ne!(a, b);
        assert_eq!(take(&mut names, "a"), a);
        assert!(!names.release(a));
        assert!(names.release(a));
        assert_eq!((names.find("a"), names.len()), (None, 1));
        assert_eq!(take(&mut names, "c"), a, "numbers are used again");
    }
}
