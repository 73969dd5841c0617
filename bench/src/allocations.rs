//! Counts what this thread asks the allocator for, while somebody wants to know.

#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// `None` while nobody counts.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The system's allocator, counting.
pub(crate) struct Counting;

fn note() {
    // A thread that is ending has no counter any more, and nobody asks it.
    let _ = COUNT.try_with(|count| {
        if let Some(n) = count.get() {
            count.set(Some(n + 1));
        }
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Does something on this thread, and says how often it asked for memory.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    COUNT.set(Some(0));
    let result = work();
    (result, COUNT.take().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_counted() {
        let (kept, some) = counted(|| vec![vec![1_u8], vec![2]]);
        assert_eq!((kept.len(), some), (2, 3));
        assert_eq!(counted(|| kept.len()).1, 0);
        drop(vec![1_u8]);
        assert_eq!(counted(|| ()).1, 0);
    }
}
