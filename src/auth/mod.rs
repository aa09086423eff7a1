//! Authentication and authorisation.

mod access;
mod credentials;
mod hashing;
pub mod lockout;
pub mod password;
mod routes;
pub mod session;
mod token;

pub use access::{Caller, Permission, Role, count_bulk, limited, may, public};
pub use routes::routes;
