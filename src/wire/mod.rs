//! The scanners that several protocols share.

mod line;

pub use line::{Excerpt, Line};
