//! What an upgrade costs: the parts that the measurements have in common.

pub mod readme;
pub mod talk;
