//! The total recovery: what no row of any table answers, and what a permission filter refused.

use std::convert::Infallible;
use std::sync::Arc;

use warp::reject::{MethodNotAllowed, Reject, Rejection};

use super::{Response, problem};
use crate::error::Error;

/// The one rejection that is not "another row may answer": a permission filter refused the caller.
#[derive(Clone, Debug)]
pub struct Denied(pub(crate) Arc<Error>);

impl Reject for Denied {}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Answers every rejection. Warp's own texts never reach a client: they would show the inside of custom rejections.
pub(crate) async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    let error = match rejection.find::<Denied>() {
        Some(Denied(error)) => Arc::clone(error),
        // The edge fills in which methods the address takes.
        None if rejection.find::<MethodNotAllowed>().is_some() => Arc::new(Error::MethodNotAllowed { allow: String::new() }),
        None => Arc::new(Error::NotFound("address")),
    };
    Ok(problem::carry(error))
}
