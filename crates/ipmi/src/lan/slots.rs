//! A table of fixed size, whose entries are found by a random 32-bit id. It never allocates after it was
//! made; the ids lie side by side, so that a search touches a few cache lines however large the entries are.

/// The table. An id is never 0.
pub(super) struct Slots<T> {
    ids: Box<[u32]>,
    values: Box<[Option<T>]>,
    len: usize,
    changes: u64,
}

impl<T> Slots<T> {
    /// An empty table.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            ids: vec![0; capacity].into_boxed_slice(),
            values: std::iter::repeat_with(|| None).take(capacity).collect(),
            len: 0,
            changes: 0,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How often an entry came or went.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.ids.len()
    }

    /// The slot of an id.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        if id == 0 {
            return None;
        }
        self.ids.iter().position(|have| *have == id)
    }

    /// Puts an entry into the first free slot; gives it back if there is none.
    pub(super) fn insert(&mut self, id: u32, value: T) -> Result<usize, T> {
        let free = self.ids.iter().position(|have| *have == 0);
        match free.and_then(|slot| Some((slot, self.ids.get_mut(slot)?, self.values.get_mut(slot)?))) {
            Some((slot, id_at, value_at)) => {
                *id_at = id;
                *value_at = Some(value);
                self.len += 1;
                self.changes += 1;
                Ok(slot)
            }
            None => Err(value),
        }
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: usize) -> Option<T> {
        let value = self.values.get_mut(slot)?.take()?;
        if let Some(id) = self.ids.get_mut(slot) {
            *id = 0;
        }
        self.len -= 1;
        self.changes += 1;
        Some(value)
    }

    pub(super) fn get(&self, slot: usize) -> Option<&T> {
        self.values.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.values.get_mut(slot)?.as_mut()
    }

    /// The id in a slot; 0 if it is empty.
    pub(super) fn id(&self, slot: usize) -> u32 {
        self.ids.get(slot).copied().unwrap_or(0)
    }

    /// All entries with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.values.iter().enumerate().filter_map(|(slot, value)| Some((slot, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the obvious model: a map with a limit.
        #[test]
        fn behaves_like_a_bounded_map(steps in proptest::collection::vec((1u32..12, any::<bool>()), 0..80)) {
            let mut slots = Slots::new(4);
            let mut model = HashMap::new();
            for (id, insert) in steps {
                if insert && !model.contains_key(&id) {
                    let fits = model.len() < 4;
                    prop_assert_eq!(slots.insert(id, id * 10).is_ok(), fits);
                    if fits {
                        model.insert(id, id * 10);
                    }
                } else if !insert {
                    let removed = slots.find(id).and_then(|slot| slots.remove(slot));
                    prop_assert_eq!(removed, model.remove(&id));
                }
                prop_assert_eq!(slots.len(), model.len());
                prop_assert_eq!(slots.is_full(), model.len() == 4);
                for (id, value) in &model {
                    let slot = slots.find(*id).unwrap();
                    prop_assert_eq!((slots.id(slot), slots.get(slot)), (*id, Some(value)));
                }
                prop_assert_eq!(slots.iter().count(), model.len());
            }
            prop_assert_eq!(slots.find(0), None);
        }
    }
}
