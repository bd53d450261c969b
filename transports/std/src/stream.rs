//! Streams, and the time that they may take.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::Error;

/// A blocking stream whose reads and writes can be bounded in time. The methods are those of [`TcpStream`].
pub trait Stream: Read + Write {
    /// The bound on a read, if there is one.
    ///
    /// # Errors
    /// Those of the operating system, as for the other methods.
    fn read_timeout(&self) -> io::Result<Option<Duration>>;
    /// The bound on a write, if there is one.
    fn write_timeout(&self) -> io::Result<Option<Duration>>;
    /// Bounds the next reads.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    /// Bounds the next writes.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

macro_rules! socket {
    ($socket:ty) => {
        impl Stream for $socket {
            fn read_timeout(&self) -> io::Result<Option<Duration>> {
                self.read_timeout()
            }

            fn write_timeout(&self) -> io::Result<Option<Duration>> {
                self.write_timeout()
            }

            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.set_write_timeout(timeout)
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(UnixStream);

/// Any other `Read + Write`: the deadline is looked at between reads and writes, but cannot cut one short.
#[derive(Debug)]
pub struct Untimed<S>(pub S);

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Stream for Untimed<S> {
    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

/// How late a bound may be before it is set anew: that is a system call, and most upgrades take less.
const TOLERANCE: Duration = Duration::from_millis(10);

/// A stream under a deadline. A read or write gets what is left of the time, and no more than [`TOLERANCE`] beyond it; the
/// stream's own bounds are restored at the end.
pub(crate) struct Timed<'a, S: Stream> {
    stream: &'a mut S,
    deadline: Instant,
    read: Bound,
    write: Bound,
}

/// The bound of one direction: the stream's own, and what was set last.
struct Bound {
    own: Option<Duration>,
    set: Option<Duration>,
}

impl Bound {
    fn new(own: Option<Duration>) -> Self {
        Self { own, set: None }
    }

    /// Sets what is left of the time, unless what is set does as well.
    fn renew(&mut self, left: Duration, set: impl FnOnce(Option<Duration>) -> io::Result<()>) -> io::Result<()> {
        if self.set.is_some_and(|set| set <= left + TOLERANCE) {
            return Ok(());
        }
        self.set = Some(left);
        set(self.set)
    }
}

impl<'a, S: Stream> Timed<'a, S> {
    pub(crate) fn new(stream: &'a mut S, deadline: Instant) -> Result<Self, Error> {
        let read = Bound::new(stream.read_timeout().map_err(Error::during("connect"))?);
        let write = Bound::new(stream.write_timeout().map_err(Error::during("connect"))?);
        Ok(Self { stream, deadline, read, write })
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn bound_read(&mut self, left: Duration) -> io::Result<()> {
        self.read.renew(left, |bound| self.stream.set_read_timeout(bound))
    }

    fn bound_write(&mut self, left: Duration) -> io::Result<()> {
        self.write.renew(left, |bound| self.stream.set_write_timeout(bound))
    }

    /// Does `work`, which `bound` limits to the time that is left.
    fn in_time<T>(
        &mut self,
        bound: impl Fn(&mut Self, Duration) -> io::Result<()>,
        mut work: impl FnMut(&mut S) -> io::Result<T>,
    ) -> io::Result<T> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        loop {
            let left = self.left();
            if left.is_zero() {
                return Err(TimedOut.into());
            }
            bound(self, left)?;
            match work(self.stream) {
                // What Linux says if there is a timeout, and the process was stopped and goes on.
                Err(error) if error.kind() == Interrupted => {}
                // The bound, which the system may count in ticks and end a moment early: the next turn looks at the clock.
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) && self.left() <= TOLERANCE => {}
                // To rustls it would mean that the socket is to be asked again.
                Err(error) if error.kind() == WouldBlock => {
                    let reason =
                        "the stream returned WouldBlock: it must be in blocking mode, without timeouts of its own";
                    return Err(io::Error::other(reason));
                }
                done => return done,
            }
        }
    }
}

impl<S: Stream> Drop for Timed<'_, S> {
    fn drop(&mut self) {
        // On a socket that is broken there is nothing left to restore.
        if self.read.set.is_some() {
            let _ = self.stream.set_read_timeout(self.read.own);
        }
        if self.write.set.is_some() {
            let _ = self.stream.set_write_timeout(self.write.own);
        }
    }
}

impl<S: Stream> Read for Timed<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.in_time(Self::bound_read, |stream| stream.read(buffer))
    }
}

impl<S: Stream> Write for Timed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.in_time(Self::bound_write, |stream| stream.write(bytes))
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.in_time(Self::bound_write, |stream| stream.write_vectored(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
