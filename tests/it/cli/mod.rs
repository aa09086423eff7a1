//! The commands.

pub(crate) mod health;
mod logs;
pub(crate) mod seed;
pub(crate) mod serve;
mod tail;
mod templates;
pub(crate) mod tour;
