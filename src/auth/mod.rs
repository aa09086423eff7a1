//! Authentication and authorisation.

mod access;
mod api_keys;
pub mod credentials;
pub mod lockout;
pub mod password;
pub mod password_rules;
mod permission;
mod routes;
pub mod session;
mod signed_in;
mod sockets;
mod token;
mod upkeep;

pub use access::{Caller, bearer, caller, caller_of, count_bulk, limited, may, public};
pub(crate) use permission::ROLES;
pub use permission::{Permission, Permissions, Role};
pub use routes::{has_password, routes, show_profile, sign_in};
pub use signed_in::{Profile, SignedIn};
pub use sockets::{recheck, redeem};
pub use upkeep::RemoveEndedSessions;
