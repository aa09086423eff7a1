//! Plain values that every room speaks of: identifiers, money, log sequence numbers, time, text.

pub mod clock;
pub mod ids;
pub mod lsn;
pub mod money;
pub mod text;
