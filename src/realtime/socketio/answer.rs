//! Answers of the library as this server sends them: each is whole, and at most as large as what waits for a client.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::poll_fn;
use hyper::body::Body;

use crate::error::{Error, Result};
use crate::http::Response;

pub(super) async fn whole<B: Body<Data = Bytes>>(response: hyper::Response<B>) -> Result<Response>
where
    B::Error: std::fmt::Debug,
{
    let (head, body) = response.into_parts();
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| Error::internal(format!("{error:?}")))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    let mut answer = Response::new(bytes.into());
    (*answer.status_mut(), *answer.headers_mut()) = (head.status, head.headers);
    *answer.extensions_mut() = head.extensions;
    Ok(answer)
}
