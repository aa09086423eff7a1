//! The opening handshake (RFC 6455, 4.2).

use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{HeaderMap, Method, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::error::{Error, Result};
use crate::http::Response;

/// Characters of the key: 16 bytes in base64.
const KEY_CHARS: usize = 24;

/// A request that may be answered with an upgrade.
pub(super) struct Handshake {
    accept: String,
}

impl Handshake {
    pub(super) fn read<B>(request: &hyper::Request<B>) -> Result<Self> {
        let headers = request.headers();
        let wrong = |detail| Err(Error::malformed("bad_handshake", detail));
        if request.method() != Method::GET || request.version() != Version::HTTP_11 {
            return wrong("a WebSocket is opened with GET and HTTP/1.1");
        }
        if !names(headers, &UPGRADE, "websocket") || !names(headers, &CONNECTION, "upgrade") {
            return wrong("this address speaks WebSocket: Connection: Upgrade, Upgrade: websocket");
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return wrong("the version of WebSocket is 13: Sec-WebSocket-Version");
        }
        match headers.get(SEC_WEBSOCKET_KEY) {
            Some(key) if key.len() == KEY_CHARS => Ok(Self { accept: derive_accept_key(key.as_bytes()) }),
            _ => wrong("a WebSocket needs a Sec-WebSocket-Key of 16 bytes in base64"),
        }
    }

    /// The answer after which the connection is a WebSocket.
    pub(super) fn accept(&self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

/// Whether a header that is a list has a word.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> hyper::Request<()> {
        headers.iter().fold(hyper::Request::builder(), |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn a_handshake_is_answered_as_the_standard_says() {
        let headers = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let answer = Handshake::read(&request(&headers)).unwrap().accept();
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for left_out in 0..headers.len() {
            let others: Vec<_> = headers.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, one)| *one).collect();
            assert!(Handshake::read(&request(&others)).is_err(), "without {}", headers[left_out].0);
        }
    }
}
