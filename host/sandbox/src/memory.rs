//! What a task's memories and tables take together.

use crate::limits;
use wasmtime::ResourceLimiter;

/// Sums all linear memories and tables of one store. Wasmtime's own limiter looks at each memory alone, and a component
/// may have many.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    used: u64,
    peak: u64,
    /// What the last growth added, for the case that the kernel then refuses it.
    last: u64,
    refused: Option<Refused>,
}

/// What a guest asked for and didn't get.
#[derive(Debug, Clone, Copy)]
enum Refused {
    /// More than the sum of its memories and tables may be, in bytes.
    Bytes(u64),
    /// A table with more elements than its place in the pool has.
    Elements(usize),
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: 0, peak: 0, last: 0, refused: None }
    }

    /// The most that was in use at once, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// The guest asked for more than it may have.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.map(|refused| match refused {
            Refused::Bytes(wanted) => format!("asked for {wanted} bytes of memory, {} are allowed", self.limit),
            Refused::Elements(wanted) => {
                format!("asked for a table of {wanted} elements, {} are allowed", limits::POOLED_TABLE_ELEMENTS)
            }
        })
    }

    /// False makes `memory.grow` answer -1, as the specification has it: a guest that can live with less may go on.
    fn grow(&mut self, by: u64) -> bool {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            self.refused = Some(Refused::Bytes(wanted));
            return false;
        }
        self.used = wanted;
        self.last = by;
        self.peak = self.peak.max(wanted);
        true
    }

    fn undo(&mut self) {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        if most == Some(limits::POOLED_TABLE_ELEMENTS) && desired > limits::POOLED_TABLE_ELEMENTS {
            self.refused = Some(Refused::Elements(desired));
            return Ok(false);
        }
        let elements = desired.saturating_sub(current) as u64;
        Ok(self.grow(elements.saturating_mul(limits::TABLE_ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        limits::INSTANCES
    }

    fn tables(&self) -> usize {
        limits::TABLES
    }

    fn memories(&self) -> usize {
        limits::MEMORIES
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn memories_and_tables_are_one_sum() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.table_growing(0, 25, None).unwrap());
        assert!(!memory.table_growing(25, 26, None).unwrap());
        assert!(!memory.memory_growing(400, 401, None).unwrap());
        assert_eq!(memory.peak(), 1000);
        assert!(memory.refused().is_some());
    }

    #[test]
    fn what_the_kernel_refuses_is_given_back() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 900, None).unwrap());
        memory.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert!(memory.memory_growing(0, 1000, None).unwrap());
        assert_eq!(memory.refused(), None);
    }

    #[test]
    fn a_table_ends_where_its_place_in_the_pool_ends() {
        let (mut memory, most) = (Memory::new(u64::MAX), limits::POOLED_TABLE_ELEMENTS);
        assert!(memory.table_growing(0, most, Some(most)).unwrap());
        assert!(!memory.table_growing(most, most + 1, Some(most)).unwrap());
        assert!(memory.refused().unwrap().contains("a table of 65537 elements"));
        // A table outside of the pool has the maximum that its module declares.
        assert!(memory.table_growing(most, most + 1, Some(most + 1)).unwrap());
    }

    #[test]
    fn a_guest_cannot_overflow_the_sum() {
        let mut memory = Memory::new(1000);
        assert!(!memory.table_growing(0, usize::MAX, None).unwrap());
        assert!(!memory.memory_growing(0, usize::MAX, None).unwrap());
    }
}
