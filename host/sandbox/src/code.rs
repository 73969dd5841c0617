//! Where compiled code arrives and stays: whole pages that belong to nothing else. It is read from the socket into the
//! place where it will run, and isn't copied again; fetching fresh pages for a copy takes longer than everything else that
//! is done to load a module.

use crate::limits;
use rustix::mm::MprotectFlags;
use std::ptr::NonNull;
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Config, CustomCodeMemory, Engine};

/// Pages for code. They are never freed: a sandbox loads one module and ends with it.
pub(crate) struct CodePages {
    pages: &'static mut [u8],
    length: usize,
}

impl CodePages {
    /// Room for so many bytes.
    pub(crate) fn new(length: usize) -> Self {
        let page = rustix::param::page_size();
        let whole = length.next_multiple_of(page);
        // One more, of which the parts before and behind are left alone.
        let all = vec![0; whole.saturating_add(page)].leak();
        let start = all.as_ptr().align_offset(page).min(page);
        let pages = all.get_mut(start..start.saturating_add(whole)).unwrap_or_default();
        Self { length: length.min(pages.len()), pages }
    }

    /// Room for code of a usual size, with its memory at hand: a sandbox that waits for its run fetches it while it waits.
    pub(crate) fn ready() -> Self {
        let mut pages = Self::new(limits::READY_CODE_BYTES);
        std::hint::black_box(pages.bytes()).fill(0);
        pages
    }

    /// The same room, or a larger one.
    pub(crate) fn fit(self, length: usize) -> Self {
        if length > self.pages.len() { Self::new(length) } else { Self { length, ..self } }
    }

    /// Pages with this code.
    pub(crate) fn of(code: &[u8]) -> Self {
        let mut pages = Self::new(code.len());
        pages.bytes().copy_from_slice(code);
        pages
    }

    /// The room, for whoever fills it.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.pages.get_mut(..self.length).unwrap_or_default()
    }

    /// Nothing changes them from here on.
    pub(crate) fn freeze(self) -> Result<Code, rustix::io::Errno> {
        protect(self.pages.as_ptr(), self.pages.len(), MprotectFlags::READ)?;
        Ok(Code { pages: self.pages, length: self.length })
    }
}

/// Code that can only be read, or be run.
pub(crate) struct Code {
    pages: &'static [u8],
    length: usize,
}

impl Code {
    /// How many bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// What the engine makes of it.
    #[expect(unsafe_code, reason = "machine code is trusted by whoever runs it")]
    pub(crate) fn deserialize(&self, engine: &Engine) -> wasmtime::Result<Component> {
        let bytes = NonNull::from(self.pages.get(..self.length).unwrap_or_default());
        // SAFETY: the memory is never freed and, being frozen, never written. The bytes must be what an engine of this version
        // made. The broker has checked their seal, a MAC over the module's digest, the engine's compatibility number and the
        // code, which only it can make and only makes of what porthole-compile wrote. Were they something else, they would
        // run within the walls that stand around this process.
        unsafe {
            if STAYS {
                Component::deserialize_raw(engine, bytes)
            } else {
                Component::deserialize(engine, bytes.as_ref())
            }
        }
    }
}

/// Code stays where it arrives. On a processor that has to be told of new instructions wasmtime copies it instead, and does
/// the telling.
const STAYS: bool = cfg!(target_arch = "x86_64");

/// Tells an engine that its code lies in [`Code`].
pub(crate) fn in_pages(config: &mut Config) {
    if STAYS {
        config.with_custom_code_memory(Some(Arc::new(InPages)));
    }
}

/// Asks for the size of a page while that is possible; afterwards the answer is known.
pub(crate) fn learn_page_size() {
    rustix::param::page_size();
}

/// Makes the instructions among the code executable, and nothing else of it.
struct InPages;

impl CustomCodeMemory for InPages {
    fn required_alignment(&self) -> usize {
        rustix::param::page_size()
    }

    fn publish_executable(&self, start: *const u8, length: usize) -> wasmtime::Result<()> {
        Ok(protect(start, length, MprotectFlags::READ | MprotectFlags::EXEC)?)
    }

    fn unpublish_executable(&self, start: *const u8, length: usize) -> wasmtime::Result<()> {
        Ok(protect(start, length, MprotectFlags::READ)?)
    }
}

#[expect(unsafe_code, reason = "the protection of memory is the kernel's, by address")]
fn protect(start: *const u8, length: usize, flags: MprotectFlags) -> Result<(), rustix::io::Errno> {
    // SAFETY: both callers mean memory of `CodePages`, whole pages that nothing else is in. It was given up for writing before
    // it loses its first writer (`freeze`), and is only ever read afterwards. Wasmtime aligns instructions to pages.
    unsafe { rustix::mm::mprotect(start.cast_mut().cast(), length, flags) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn code_lies_in_whole_pages_of_its_own() {
        let page = rustix::param::page_size();
        for length in [0, 1, page - 1, page, page + 1, 500_000] {
            let mut pages = CodePages::of(&vec![7; length]);
            assert_eq!(pages.bytes(), vec![7; length]);
            assert_eq!((pages.pages.as_ptr().addr() % page, pages.pages.len() % page), (0, 0));
            assert_eq!(pages.freeze().unwrap().len(), length);
            let fitted = CodePages::ready().fit(length + limits::READY_CODE_BYTES / 2);
            assert_eq!(fitted.freeze().unwrap().len(), length + limits::READY_CODE_BYTES / 2);
        }
    }
}
