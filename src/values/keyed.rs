//! HMAC-SHA256 under keys derived from the server's secret, one for each purpose: what one of them signs proves nothing to another.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns the function of one purpose.
#[must_use]
pub fn derived(secret: &[u8], purpose: &str) -> Hmac<Sha256> {
    keyed(&keyed(secret).chain_update(purpose).finalize().into_bytes())
}

/// Any length of key is one for HMAC, so the error cannot occur.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}
