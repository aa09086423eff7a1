//! The program as an operator meets it.

pub(crate) mod health;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod tour;
