//! The scanners that several protocols share.

mod http;
mod line;
mod packet;

pub use http::{HeadPart, ResponseHead};
pub use line::{Excerpt, Line};
pub use packet::Packet;
