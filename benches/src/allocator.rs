//! The system's allocator, and what was asked of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static AT_HELLO: AtomicUsize = AtomicUsize::new(NONE);

/// No ClientHello has been made.
const NONE: usize = usize::MAX;

/// Counts what all threads allocate. A reallocation is an allocation of what it adds.
pub struct Counting;

/// What was allocated since [`start`].
#[derive(Clone, Copy, Debug)]
pub struct Allocated {
    /// How many allocations there were before the first ClientHello, if rustls was asked for one.
    pub before_hello: Option<usize>,
    /// How many there were in all.
    pub calls: usize,
    /// How many bytes they asked for.
    pub bytes: usize,
    /// How many bytes were held at the most.
    pub peak: usize,
}

/// Counts from here. `LIVE` goes on, since what was allocated before is yet to be freed.
pub fn start() -> usize {
    CALLS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    AT_HELLO.store(NONE, Relaxed);
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    live
}

/// Notes that a ClientHello is being made.
pub fn hello() {
    let _ = AT_HELLO.compare_exchange(NONE, CALLS.load(Relaxed), Relaxed, Relaxed);
}

/// What was allocated since `start` gave `live`.
pub fn stop(live: usize) -> Allocated {
    Allocated {
        before_hello: Some(AT_HELLO.load(Relaxed)).filter(|calls| *calls != NONE),
        calls: CALLS.load(Relaxed),
        bytes: BYTES.load(Relaxed),
        peak: PEAK.load(Relaxed) - live,
    }
}

fn count(bytes: usize) {
    CALLS.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes, Relaxed);
    PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call goes to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size().saturating_sub(size), Relaxed);
        count(size.saturating_sub(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }
}
