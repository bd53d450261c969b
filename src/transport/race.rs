//! Connecting to the first address that answers (RFC 8305).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;

use super::Error;

/// How long an attempt to connect may take before the next address is tried as well (RFC 8305 §5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The order in which to try `addresses` (RFC 8305 §4): the families take turns, IPv6 first.
pub fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (mut v6, mut v4): (Vec<_>, Vec<_>) = addresses.iter().rev().copied().partition(SocketAddr::is_ipv6);
    let mut order = Vec::new();
    while !(v6.is_empty() && v4.is_empty()) {
        order.extend(v6.pop());
        order.extend(v4.pop());
    }
    order
}

/// Tries `addresses`, and returns the first connection. The next address is tried when an attempt has failed, or when the
/// future that `delay` returns is ready: after [`ATTEMPT_DELAY`]. Attempts that were not the first are dropped.
///
/// # Errors
/// [`Error::Connect`] with what every address said.
pub async fn race<S, A: Future<Output = io::Result<S>>, D: Future>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> A,
    delay: impl Fn() -> D,
) -> Result<S, Error> {
    let mut waiting = interleaved(addresses).into_iter();
    let mut running: Vec<(SocketAddr, Pin<Box<A>>)> = Vec::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            running.push((address, Box::pin(connect(address))));
        } else if running.is_empty() {
            return Err(Error::Connect { failures });
        }
        let mut delay = pin!(delay());
        let ended = poll_fn(|cx| {
            for number in 0..running.len() {
                if let Poll::Ready(ended) = running[number].1.as_mut().poll(cx) {
                    return Poll::Ready(Some((running.remove(number).0, ended)));
                }
            }
            if waiting.len() > 0 && delay.as_mut().poll(cx).is_ready() { Poll::Ready(None) } else { Poll::Pending }
        });
        match ended.await {
            Some((_, Ok(stream))) => return Ok(stream),
            Some((address, Err(error))) => failures.push((address, error)),
            // It is time for the next.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    #[test]
    fn the_families_take_turns() {
        let order = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            interleaved(&addresses).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            order(&["192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25", "[2001:db8::1]:25", "[2001:db8::2]:25"]),
            ["[2001:db8::1]:25", "192.0.2.1:25", "[2001:db8::2]:25", "192.0.2.2:25", "192.0.2.3:25"]
        );
        assert_eq!(order(&["192.0.2.1:25"]), ["192.0.2.1:25"]);
        assert_eq!(order(&[]), Vec::<String>::new());
    }
}
