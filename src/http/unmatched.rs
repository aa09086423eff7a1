//! Answers every rejection: unknown address, unknown method, refused permission.

use std::convert::Infallible;
use std::sync::Arc;

use warp::reject::{MethodNotAllowed, Reject, Rejection};

use super::{Response, problem};
use crate::error::Error;

/// A filter refused the caller, or what the request asks. All other rejections mean that another route may answer.
#[derive(Clone, Debug)]
pub struct Denied(pub(crate) Arc<Error>);

impl Reject for Denied {}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Warp's own texts never reach a client: they would show the inside of custom rejections.
pub(crate) async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    let error = match rejection.find::<Denied>() {
        Some(Denied(error)) => Arc::clone(error),
        None if rejection.find::<MethodNotAllowed>().is_some() => Arc::new(Error::MethodNotAllowed),
        None => Arc::new(Error::NotFound("address")),
    };
    Ok(problem::unrendered(error))
}
