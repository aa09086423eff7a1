//! What a request has to keep of HTTP that hyper does not check (RFC 9110, RFC 9112).

use hyper::HeaderMap;
use hyper::Version;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use hyper::http::uri::Authority;

use crate::error::{Error, Result};

/// Checks the head of a request.
pub(crate) fn check<B>(request: &hyper::Request<B>) -> Result<()> {
    check_host(request.version(), request.headers())?;
    let codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    // hyper reads the last coding and would pass on what the others have made of the body.
    let mut codings = codings.flat_map(|value| value.to_str().unwrap_or("?").split(','));
    if codings.any(|coding| !coding.trim().eq_ignore_ascii_case("chunked")) {
        return Err(Error::UnknownTransferCoding);
    }
    Ok(())
}

/// One host, which all that stand between client and server read alike (RFC 9112, 3.2).
fn check_host(version: Version, headers: &HeaderMap) -> Result<()> {
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let Some(host) = first else {
        return if version == Version::HTTP_11 {
            Err(Error::malformed("missing_host", "a request needs a Host header"))
        } else {
            Ok(())
        };
    };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    if second.is_some() || host.is_none_or(|host| host.host().is_empty() || host.as_str().contains('@')) {
        return Err(Error::malformed("bad_host", "a request needs one Host header with a host name or an address"));
    }
    Ok(())
}

/// Checks that a body is JSON in UTF-8, and not compressed.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<()> {
    check_encoding(headers)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Error::UnsupportedMediaType("application/json"));
    }
    let mut charsets = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    if charsets.any(|charset| !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))) {
        return Err(Error::UnsupportedMediaType("application/json in UTF-8"));
    }
    Ok(())
}

/// Checks that a body is a form with files, and not compressed; answers the boundary of its parts.
pub(crate) fn boundary(headers: &HeaderMap) -> Result<String> {
    check_encoding(headers)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    multer::parse_boundary(content_type).map_err(|_| Error::UnsupportedMediaType("multipart/form-data with a boundary"))
}

fn check_encoding(headers: &HeaderMap) -> Result<()> {
    let is_encoded = |value: &hyper::header::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(is_encoded) {
        return Err(Error::UnsupportedMediaType("a body without Content-Encoding"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> hyper::Request<()> {
        headers.iter().fold(hyper::Request::builder(), |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    #[track_caller]
    fn check_head(headers: &[(&str, &str)], expected: Option<&str>) {
        assert_eq!(check(&request(headers)).err().map(|error| error.code()), expected, "{headers:?}");
    }

    #[test]
    fn a_request_has_one_host() {
        for host in ["example.org", "example.org:3000", "127.0.0.1", "[::1]:3000", "localhost", "my_host"] {
            check_head(&[("host", host)], None);
        }
        check_head(&[], Some("missing_host"));
        for host in ["", "a b", "http://example.org", "example.org/x", "jane@example.org", ":3000", "[::1", "?"] {
            check_head(&[("host", host)], Some("bad_host"));
        }
        check_head(&[("host", "example.org"), ("host", "example.org")], Some("bad_host"));
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        let with = |coding| [("host", "x"), ("transfer-encoding", coding)];
        check_head(&with("chunked"), None);
        check_head(&with("Chunked"), None);
        for coding in ["gzip, chunked", "gzip", "identity", "chunked;q=1, deflate", ""] {
            check_head(&with(coding), Some("unknown_transfer_coding"));
        }
        check_head(
            &[("host", "x"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")],
            Some("unknown_transfer_coding"),
        );
    }

    #[test]
    fn a_body_is_plain_json_in_utf8() {
        let check = |headers: &[(&str, &str)]| check_json(request(headers).headers()).is_ok();
        for fit in
            ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"UTF-8\"", "application/json; v=1"]
        {
            assert!(check(&[("content-type", fit)]), "{fit}");
            assert!(check(&[("content-type", fit), ("content-encoding", "identity")]), "{fit}");
            assert!(!check(&[("content-type", fit), ("content-encoding", "gzip")]), "{fit}");
        }
        for unfit in ["", "text/plain", "application/json; charset=iso-8859-1", "application/json; charset=utf-16"] {
            assert!(!check(&[("content-type", unfit)]), "{unfit}");
        }
        assert!(!check(&[]));
    }
}
