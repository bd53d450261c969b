//! RPC with TLS (RFC 9289 §4.1, RFC 5531 §9, §11), of which NFS is the usual program.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text, Tls};

/// The most that a reply may have: the fields, and a verifier of 400 bytes (RFC 5531 §8.2).
const MOST: usize = 40 + 400;
const NFS: u32 = 100_003;

/// The dialogue of an RPC client.
///
/// An empty verifier is [`Reason::NotAdvertised`]; a call that was denied, or accepted but not carried out, is a refusal by
/// the name of its status.
///
/// # The dialogue
///
/// ```text
/// C: CALL xid, RPC 2, program, version, procedure 0;  credential AUTH_TLS (7), empty;  verifier AUTH_NONE, empty
/// S: REPLY xid, MSG_ACCEPTED;  verifier AUTH_NONE, "STARTTLS";  SUCCESS
/// ```
///
/// Each message is a record of one or more fragments, whose headers have a length and whether it is the last (RFC 5531
/// §11). A server that does not know TLS answers with an empty verifier, or denies the call.
///
/// # After TLS
///
/// The client speaks first: the calls that it was about to make. TLS is 1.3 or later, and the application protocol is
/// `sunrpc` (RFC 9289 §5). The xid may be used again.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Rpc};
///
/// let mut negotiation = Negotiation::required(Rpc::nfs(0xA7F3));
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x80\x00\x00(\x00\x00\xa7\xf3\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\
///     \xa3\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\
///     \x00\x00\x00\x00\x00\x00"[..]);
/// negotiation.handle_input(b"\x80\x00\x00 \x00\x00\xa7\xf3\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\
///     \x00\x00\x00\x00\x08STARTTLS\x00\x00\x00\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Rpc {
    request: Bytes,
    xid: u32,
    /// The fragments ahead of the last.
    record: Vec<u8>,
    advertised: Option<bool>,
}

impl Rpc {
    /// A client of this program, that calls procedure 0 of it, which every program has and which does nothing.
    ///
    /// Who can guess `xid` can write the answer before the question is asked. Take it from a random source, anew for each
    /// connection.
    pub fn new(xid: u32, program: u32, version: u32) -> Self {
        let words = [0x8000_0028, xid, 0, 2, program, version, 0, 7, 0, 0, 0];
        let request = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect::<Vec<u8>>();
        Self { request: Bytes::from(request), xid, record: Vec::new(), advertised: None }
    }

    /// A client of NFS version 4. See [`new`](Self::new).
    pub fn nfs(xid: u32) -> Self {
        Self::new(xid, NFS, 4)
    }
}

impl Dialogue for Rpc {
    fn open(&mut self) -> Step {
        Step::Send(core::mem::take(&mut self.request))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        packet::frame(begun, |header: &[u8; 4]| {
            let length = u32::from_be_bytes(*header) & 0x7fff_ffff;
            (length as usize <= MOST - self.record.len()).then_some(length)
        })
    }

    fn receive(&mut self, fragment: &[u8]) -> Result<Step, Error> {
        let [header, _, _, _, fragment @ ..] = fragment else { return Err(Error::unexpected(fragment)) };
        if header & 0x80 == 0 {
            self.record.extend_from_slice(fragment);
            return Ok(Step::Next);
        }
        let record = if self.record.is_empty() { fragment } else { &[&self.record, fragment].concat() };
        let mut words = [0; 10];
        let whole = record.as_chunks::<4>().0;
        words.iter_mut().zip(whole).for_each(|(word, bytes)| *word = u32::from_be_bytes(*bytes));
        let words = &words[..whole.len().min(words.len())];
        let is_whole = size_of_val(words) == record.len();
        let (xid, starttls) = (self.xid, [u32::from_be_bytes(*b"STAR"), u32::from_be_bytes(*b"TTLS")]);
        let (offered, status) = match *words {
            // REPLY, MSG_ACCEPTED, the verifier, accept_stat, and with a refusal maybe more.
            [id, 1, 0, 0, 8, a, b, 0] if is_whole && id == xid && [a, b] == starttls => (true, accepted(0)),
            [id, 1, 0, 0, 8, a, b, status, ..] if status > 0 && id == xid && [a, b] == starttls => {
                (true, accepted(status))
            }
            [id, 1, 0, 0, 0, 0] if is_whole && id == xid => (false, accepted(0)),
            [id, 1, 0, 0, 0, status, ..] if status > 0 && id == xid => (false, accepted(status)),
            // REPLY, MSG_DENIED, AUTH_ERROR or RPC_MISMATCH.
            [id, 1, 1, 1, status, ..] if id == xid => (false, denied(status)),
            [id, 1, 1, 0, ..] if id == xid => (false, Code::Named(0, "RPC_MISMATCH")),
            _ => return Err(Error::unexpected(record)),
        };
        self.advertised = Some(offered);
        match (offered, status) {
            (true, Code::Named(0, "SUCCESS")) => Ok(Step::Upgrade),
            (false, Code::Named(0, "SUCCESS")) => Ok(Step::Decline(Reason::NotAdvertised)),
            (_, code) => Ok(Step::Decline(Reason::Refused(Reply { code, text: Text::new(b""), temporary: false }))),
        }
    }

    fn awaiting(&self) -> &'static str {
        "AUTH_TLS"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn tls(&self) -> Tls {
        Tls { alpn: Some(b"sunrpc"), framing: None }
    }
}

fn accepted(status: u32) -> Code {
    Code::Named(
        status,
        match status {
            0 => "SUCCESS",
            1 => "PROG_UNAVAIL",
            2 => "PROG_MISMATCH",
            3 => "PROC_UNAVAIL",
            4 => "GARBAGE_ARGS",
            5 => "SYSTEM_ERR",
            _ => "unknown",
        },
    )
}

fn denied(status: u32) -> Code {
    Code::Named(
        status,
        match status {
            1 => "AUTH_BADCRED",
            2 => "AUTH_REJECTEDCRED",
            3 => "AUTH_BADVERF",
            4 => "AUTH_REJECTEDVERF",
            5 => "AUTH_TOOWEAK",
            6 => "AUTH_INVALIDRESP",
            7 => "AUTH_FAILED",
            _ => "AUTH_ERROR",
        },
    )
}
