//! What connections need that stay open: a ticket to open them from a web page, and a look at their callers' rights later on.

mod recheck;
pub(super) mod tickets;

pub use recheck::recheck;
pub use tickets::redeem;
