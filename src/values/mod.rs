//! Plain values that every room speaks of: identifiers, JSON, money, networks, log sequence numbers, time, text.

pub mod aging;
pub mod clock;
pub mod ids;
pub mod json;
pub mod keyed;
pub mod lsn;
pub mod money;
pub mod network;
pub mod origin;
pub mod personal;
pub mod text;
pub mod zone;
