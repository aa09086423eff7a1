//! Protocols that are more than a request and its answer: they open sockets, and are handed requests before the route table is.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;

use super::{RequestContext, Response};
use crate::error::Result;

/// A protocol beside the route table.
pub trait Protocol: Send + Sync {
    /// The address of a request that belongs to this protocol.
    fn address(&self, request: &hyper::Request<Incoming>) -> Option<ProtocolAddress>;

    /// Answers a request. It ends when the answer begins; what an upgraded connection is used for goes on elsewhere.
    fn answer(
        self: Arc<Self>,
        context: RequestContext,
        request: hyper::Request<Incoming>,
    ) -> BoxFuture<'static, Result<Response>>;
}

/// An address that a protocol serves.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolAddress {
    /// Its name in logs and metrics.
    pub pattern: &'static str,
    /// The value of an `Allow` header.
    pub allow: &'static str,
}
