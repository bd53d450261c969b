//! Plays the server's side of a recorded dialogue: real TCP, a real rustls server behind it, and a private CA.
//!
//! For tests and demonstrations. A transcript is a text file that a person can read and write:
//!
//! ```text
//! # Postfix 3.7.11, smtpd_tls_security_level = none      any number of comments
//! server: Postfix 3.7.11                                 if this is how the protocol usually goes with a real server
//! options: insist                                          if any: ask, insist, after-greeting, at-command
//! S: 220 mail.example ESMTP Postfix                      a line from the server; CR LF is added
//! C: EHLO client.example                                 a line from the client
//! S. \x00\x01                                            bytes from the server, and nothing is added
//! S# 30 0c 02 01                                         the same, in hexadecimal
//! = upgraded                                             how the negotiation ends, in the words of its error
//! ```
//!
//! Escapes are `\r`, `\n`, `\t`, `\\` and `\xNN`. The client calls itself `client.example`, the domain that it wants to talk to is
//! `mail.example`, and its seed is 0xA7F3, which makes IMAP's tag `A7F3`.

mod authority;
mod drive;
mod input;
mod relay;
mod server;
mod transcript;

pub use authority::{Authority, Flaw};
pub use drive::{Verdict, drive};
pub use input::Input;
pub use relay::relay;
pub use server::{Server, play, play_then};
pub use transcript::{Transcript, Turn, client};
