//! What a board would bring, made of the host's C library: a stream, a clock, an allocator that counts.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use dlmalloc::GlobalDlmalloc;
use embedded_io::{ErrorKind, ErrorType, Read, Write};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The socket that the program is started with, as `inetd` starts one.
pub struct Socket;

impl ErrorType for Socket {
    type Error = ErrorKind;
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        // SAFETY: the pointer and the length are those of a slice.
        let read = unsafe { libc::read(0, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(read).map_err(|_| ErrorKind::Other)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        // SAFETY: the pointer and the length are those of a slice.
        let written = unsafe { libc::write(0, bytes.as_ptr().cast(), bytes.len()) };
        usize::try_from(written).map_err(|_| ErrorKind::Other)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Certificates are valid for a time, so something has to tell it.
#[derive(Debug)]
pub struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        // SAFETY: a null pointer asks for the time as the result alone.
        let seconds = unsafe { libc::time(core::ptr::null_mut()) };
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().ok()?)))
    }
}

/// Says something on standard error.
pub fn print(text: &str) {
    // SAFETY: the pointer and the length are those of a slice. There is nobody to tell if it fails.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// An allocator that knows how much is in use, and how much was at most.
pub struct Counting {
    pub now: AtomicUsize,
    pub most: AtomicUsize,
}

// SAFETY: all is left to dlmalloc.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = self.now.fetch_add(layout.size(), Relaxed) + layout.size();
        self.most.fetch_max(now, Relaxed);
        unsafe { GlobalDlmalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size(), Relaxed);
        unsafe { GlobalDlmalloc.dealloc(pointer, layout) }
    }
}
