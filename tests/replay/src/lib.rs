//! Plays the server's side of a recorded dialogue: real TCP, a real rustls server behind it, and a private CA.
//!
//! For tests and demonstrations. A transcript is a text file that a person can read and write:
//!
//! ```text
//! # Postfix 3.7.11, smtpd_tls_security_level = none      any number of comments
//! knobs: insist                                          if any: ask, insist, after-greeting, at-command
//! S: 220 mail.example ESMTP Postfix                      a line from the server; CR LF is added
//! C: EHLO client.example                                 a line from the client
//! S. \x00\x01                                            bytes from the server, and nothing is added
//! = upgraded                                             how the negotiation ends, in the words of its error
//! ```
//!
//! Escapes are `\r`, `\n`, `\t`, `\\` and `\xNN`. The client calls itself `client.example`, and its tag is `A7F3`.

mod authority;
mod drive;
mod server;
mod transcript;

pub use authority::{Authority, Flaw};
pub use drive::{Verdict, drive};
pub use server::{Server, play};
pub use transcript::{Transcript, Turn};
