//! What an upgrade costs: the parts that the measurements have in common.

pub mod allocator;
pub mod cost;
pub mod readme;
pub mod server;
pub mod table;
pub mod talk;
pub mod way;
pub mod ways;
