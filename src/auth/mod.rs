//! Authentication and authorisation.

mod access;
mod credentials;
pub mod password;
mod routes;
pub mod session;
mod token;

pub use access::{Caller, Permission, Role, may, public};
pub use routes::routes;
