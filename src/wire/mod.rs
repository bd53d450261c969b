//! What several protocols are made of.

pub mod ber;
mod excerpt;
pub(crate) mod http;
pub mod json;
pub mod packet;

pub use excerpt::Excerpt;
