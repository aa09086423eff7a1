//! Authentication and authorisation.

mod access;
mod credentials;
mod hashing;
pub mod password;
mod routes;
pub mod session;
mod token;

pub use access::{Caller, Permission, Role, may, public};
pub use routes::routes;
