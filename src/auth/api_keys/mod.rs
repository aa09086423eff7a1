//! API keys: what machines sign in with. A key stands for its owner, within its scopes.

mod key;
mod routes;
mod store;

pub(super) use key::{ApiKey, PREFIX};
pub(super) use routes::routes;
pub(super) use store::holder;
