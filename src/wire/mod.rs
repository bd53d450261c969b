//! The scanners that several protocols share.

mod line;
mod literal;
mod packet;

pub use line::{Excerpt, Line};
pub use literal::{Literals, LongLine, Piece, Progress};
pub use packet::Packet;
