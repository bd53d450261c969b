//! What several protocols are made of.

pub mod ber;
mod excerpt;
pub mod json;
pub mod packet;

pub use excerpt::Excerpt;
