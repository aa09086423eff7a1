//! Which web pages may open sockets. Browsers let any page open one to any server, so the server looks at the page's origin (RFC 6455,
//! 10.2).

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};

use crate::config::Http;
use crate::error::{Error, Result};
use crate::values::origin::Origin;

/// Refuses a page of an origin that no setting names and that is not this server's own. What is no browser names none.
pub(super) fn check(config: &Http, headers: &HeaderMap) -> Result<()> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().map_err(|_| Error::ForeignOrigin)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_own = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    let is_named = config.origins().any(|named| match named {
        Origin::Any => true,
        Origin::One(named) => named == origin,
    });
    if is_own || is_named { Ok(()) } else { Err(Error::ForeignOrigin) }
}
