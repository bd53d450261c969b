//! The scanners that several protocols share.

mod line;
mod packet;

pub use line::{Excerpt, Line};
pub use packet::Packet;
