//! The guest's allocator: the first allocations of a task come from a piece of its initial memory, all others from the
//! standard library's allocator. That one begins with growing the memory, which is a system call in the host and another
//! one when the task is over; many tasks never need so much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// Bytes of the first piece: the configuration, a call, a small reply.
const BYTES: usize = 32 * 1024;

/// See the module's documentation. What is freed here is used again only if it was the last piece; the whole is small and
/// lives as long as the task.
struct Arena {
    bytes: UnsafeCell<[u8; BYTES]>,
    used: Cell<usize>,
}

// SAFETY: a guest has one thread; the world has no other.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; BYTES]), used: Cell::new(0) };

impl Arena {
    fn start(&self) -> usize {
        self.bytes.get().addr()
    }

    /// Where a block begins within the arena; none if it is elsewhere.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        block.addr().checked_sub(self.start()).filter(|offset| *offset < BYTES)
    }

    /// The room for a block, if there is any.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let free = self.start().checked_add(self.used.get())?;
        let offset = free.checked_next_multiple_of(layout.align())?.checked_sub(self.start())?;
        let end = offset.checked_add(layout.size()).filter(|end| *end <= BYTES)?;
        self.used.set(end);
        Some(self.bytes.get().cast::<u8>().wrapping_add(offset))
    }
}

// SAFETY: a block lies within the arena, begins at a multiple of its alignment, and overlaps with no other: `used` only
// goes back to the beginning of the last block, when that one is freed. Blocks from elsewhere go back to where they are
// from.
//
// Not inlined: once each is a few hundred bytes, at every place that allocates it is tens of kilobytes of code.
unsafe impl GlobalAlloc for Arena {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => block,
            // SAFETY: the caller's promises are those that the other allocator asks for.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) if offset.saturating_add(layout.size()) == self.used.get() => self.used.set(offset),
            Some(_) => {}
            // SAFETY: it isn't from here, so it is from there.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // SAFETY: it isn't from here, so it is from there.
            return unsafe { System.realloc(block, layout, size) };
        };
        let is_last = offset.saturating_add(layout.size()) == self.used.get();
        if let Some(end) = offset.checked_add(size).filter(|end| is_last && *end <= BYTES) {
            self.used.set(end);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller promises that the size, rounded up to the alignment, is a valid one; the blocks are as long as
        // what is copied, and don't overlap.
        unsafe {
            let larger = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !larger.is_null() {
                larger.copy_from_nonoverlapping(block, layout.size());
                self.dealloc(block, layout);
            }
            larger
        }
    }
}
