//! Authentication and authorisation.

mod access;
pub mod credentials;
pub mod password;
mod refresh_token;
mod rotation;
mod routes;
pub mod session;
mod signed_in;
mod token;

pub use access::{Caller, Permission, Role, may, public};
pub use routes::{routes, sign_in};
pub use signed_in::SignedIn;
