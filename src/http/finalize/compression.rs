//! Compression of answers (RFC 9110, 8.4): gzip, for clients that take it and bodies that are worth it.
//!
//! The compressed body is another representation, so it has a tag of its own: `"v17-5c1f2a90-gzip"`. A weak tag would do for
//! `If-None-Match` but equals nothing in `If-Match`, and a client could not change what it has read.
//!
//! What holds a secret is not compressed, here or by a proxy: its length would tell how much of it a request repeats (BREACH). See
//! [`with_secrets`].

use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::poll_fn;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue};
use tokio::time::timeout;

use crate::http::{Response, Routes};

/// A smaller body is sent in one packet either way.
const FEWEST_BYTES: u64 = 1_400;

/// A larger body would take too much memory beside its compressed form; no page is as large.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// Larger bodies are compressed off the request threads: it takes milliseconds, in which other requests would wait.
const COMPRESSED_AT_ONCE: usize = 64 * 1024;

/// A body that is not compressed by then goes as it is: the server has more to do than it can.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of a list of 1,000 accounts, 747 KB, level 1 leaves 24 % in 1.2 ms, level 2 17 % in 2.0 ms, and level 6 15 % in 8.6 ms; a list of 10
/// takes 20 µs at level 2.
const LEVEL: u32 = 2;

/// What the tag of a compressed body has behind that of the plain one.
const SUFFIX: &str = "-gzip\"";

/// Marks all answers of these routes as what must not be compressed, by this server or a proxy: they hold secrets.
#[must_use]
pub fn with_secrets(routes: Routes) -> Routes {
    routes.map(|mut response| {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        response
    })
}

/// Whether a client prefers gzip to the plain body (RFC 9110, 12.5.3).
pub(super) fn prefers_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut identity, mut others) = (None, None, None);
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, weight) = coding.split_once(';').map_or((coding, Some(1.0)), |(name, weight)| (name, quality(weight)));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = weight,
            "identity" => identity = weight,
            "*" => others = weight,
            _ => {}
        }
    }
    let gzip = gzip.or(others).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

fn quality(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim().parse().ok().filter(|value| (0.0..=1.0).contains(value));
    value.filter(|_| name.trim().eq_ignore_ascii_case("q"))
}

/// Compresses the body of a response if it is worth it.
pub(super) async fn compress(response: &mut Response) {
    if !is_worth_it(response) {
        return;
    }
    let body = take_body(response).await;
    let compressed = if body.len() <= COMPRESSED_AT_ONCE {
        gzip(&body)
    } else {
        let shared = body.clone();
        let compressed = tokio::task::spawn_blocking(move || gzip(&shared));
        timeout(PATIENCE, compressed).await.ok().and_then(Result::ok).flatten()
    };
    let Some(compressed) = compressed else {
        *response.body_mut() = body.into();
        return;
    };
    *response.body_mut() = compressed.into();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    if let Some(tag) = headers.get(ETAG).and_then(compressed_tag) {
        headers.insert(ETAG, tag);
    }
}

fn is_worth_it(response: &Response) -> bool {
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let is_text = ["json", "text/", "javascript", "svg"].iter().any(|part| header(CONTENT_TYPE).contains(part));
    is_text
        // A body that is streamed has no size.
        && response.body().size_hint().exact().is_some_and(|size| (FEWEST_BYTES..=MOST_BYTES).contains(&size))
        && !header(CACHE_CONTROL).contains("no-transform")
        && !response.headers().contains_key(CONTENT_ENCODING)
}

async fn take_body(response: &mut Response) -> Bytes {
    let mut body = std::mem::take(response.body_mut());
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.into_data() {
            // It is one piece.
            Ok(piece) if bytes.is_empty() && body.is_end_stream() => return piece,
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => {}
        }
    }
    bytes.into()
}

/// Returns the compressed bytes, unless they are as many.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(LEVEL));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|compressed| compressed.len() < bytes.len())
}

/// The tag of the compressed body of a response.
pub(super) fn compressed_tag(tag: &HeaderValue) -> Option<HeaderValue> {
    let plain = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::from_str(&format!("{plain}{SUFFIX}")).ok()
}

/// Splits what a compressed body has off a tag, without its last quote; none if it is the tag of a plain one.
pub(super) fn plain_tag(tag: &str) -> Option<&str> {
    tag.strip_suffix(SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_weighed() {
        let prefers = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            prefers_gzip(&headers)
        };
        for yes in [
            &["gzip"][..],
            &["GZIP"],
            &["x-gzip"],
            &["gzip, deflate, br, zstd"],
            &["br;q=1.0, gzip;q=0.8, *;q=0.1"],
            &["*"],
            &["*;q=0.5"],
            &["identity;q=0, *"],
            &["gzip;q=0.001"],
            &["gzip; Q = 1"],
            &["deflate", "gzip"],
            &["identity;q=0.5, gzip"],
        ] {
            assert!(prefers(yes), "{yes:?}");
        }
        for no in [
            &[][..],
            &[""],
            &["identity"],
            &["br"],
            &["gzip;q=0"],
            &["gzip;q=0.0, *"],
            &["*;q=0"],
            &["gzip;q=0.5, identity"],
            &["gzip;q=2"],
            &["gzip;q=x"],
            &["gzip;level=9"],
            &["gzipped"],
        ] {
            assert!(!prefers(no), "{no:?}");
        }
    }

    #[test]
    fn tags_of_compressed_bodies_are_told_apart() {
        let tag = compressed_tag(&HeaderValue::from_static("\"v17-5c1f2a90\"")).unwrap();
        assert_eq!(tag, "\"v17-5c1f2a90-gzip\"");
        assert_eq!(plain_tag(tag.to_str().unwrap()), Some("\"v17-5c1f2a90"));
        assert_eq!(plain_tag("\"v17-5c1f2a90\""), None);
    }
}
