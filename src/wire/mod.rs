//! The scanners that several protocols share.

mod ber;
mod http;
mod json;
mod line;
mod literal;
mod packet;

pub use ber::{Ber, Part};
pub use http::{HeadPart, ResponseHead};
pub use json::Json;
pub use line::{Excerpt, Line, Lines, find};
pub use literal::{Literals, LongLine, Piece, Progress};
pub use packet::Packet;
