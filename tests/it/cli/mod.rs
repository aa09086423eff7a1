//! The commands.

pub(crate) mod health;
mod logs;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod tour;
