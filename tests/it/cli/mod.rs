//! The commands.

pub(crate) mod health;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod tour;
