//! Authentication and authorisation.

mod access;
mod credentials;
pub mod password;
mod routes;
pub mod session;
mod token;
mod upkeep;

pub use access::{Caller, Permission, Role, may, public};
pub use routes::routes;
pub use upkeep::RemoveEndedSessions;
