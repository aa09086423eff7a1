//! `Prefer`: whether a client wants the record back that it has written, and whether it waits for the work (RFC 7240).

use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use serde::Serialize;

use crate::api::reply::Body;
use crate::api::{Reply, Request, json};
use crate::error::Result;
use crate::values::ids::JobId;

const PREFER: &str = "prefer";
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// What the preference `return` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// Status and headers alone.
    Minimal,
    Representation,
}

impl Request {
    /// Leaves out the body of a write's answer if the client prefers that. Other preferences are ignored, as the standard says.
    pub(super) fn as_preferred(&self, reply: Reply) -> Reply {
        match preferred(&self.headers) {
            Some(Return::Minimal) => applied(without_body(reply), "return=minimal"),
            Some(Return::Representation) if !reply.body.is_absent() => applied(reply, "return=representation"),
            _ => reply,
        }
    }

    /// Whether the client prefers a job to waiting, where work can be one.
    #[must_use]
    pub fn prefers_async(&self) -> bool {
        preferences(&self.headers).any(|preference| preference.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
    }

    /// Answers 202: a job does the work, and its address says how far it is. The value has its id as `jobId`.
    pub fn accepted(&self, job: JobId, value: &impl Serialize) -> Result<Reply> {
        let reply = json(value)?.with(LOCATION, &format!("/api/v1/jobs/{job}")).with_status(StatusCode::ACCEPTED);
        Ok(if self.prefers_async() { applied(reply, RESPOND_ASYNC) } else { reply })
    }
}

fn applied(mut reply: Reply, preference: &'static str) -> Reply {
    reply.headers.append(APPLIED, HeaderValue::from_static(preference));
    reply
}

fn without_body(mut reply: Reply) -> Reply {
    if reply.status == StatusCode::OK {
        reply.status = StatusCode::NO_CONTENT;
    }
    reply.headers.remove(CONTENT_TYPE);
    reply.body = Body::Whole(Vec::new());
    reply
}

/// Each preference without its parameters.
fn preferences(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| unquoted(line, ',')).filter_map(|preference| unquoted(preference, ';').next())
}

/// The first value of `return`; none if there is none that is known.
fn preferred(headers: &HeaderMap) -> Option<Return> {
    let mut values = preferences(headers).filter_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("return").then(|| value.trim().trim_matches('"'))
    });
    let value = values.next()?;
    [("minimal", Return::Minimal), ("representation", Return::Representation)]
        .into_iter()
        .find_map(|(word, preference)| value.eq_ignore_ascii_case(word).then_some(preference))
}

/// Splits a text at a separator that is not between quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |sign| {
        match sign {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && sign == '\\' && !is_escaped;
        sign == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(lines: &[&'static str]) -> Option<Return> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_static(line));
        }
        preferred(&headers)
    }

    #[test]
    fn preferences_are_read_as_the_standard_says() {
        for minimal in [
            &["return=minimal"][..],
            &["Return = \"Minimal\"; because=\"a, b; c\""],
            &["respond-async, wait=10; x, return=minimal"],
            &["respond-async", "return=minimal"],
            &["note=\"a \\\" , return=representation\", return=minimal"],
            &["return=minimal, return=representation"],
        ] {
            assert_eq!(of(minimal), Some(Return::Minimal), "{minimal:?}");
        }
        assert_eq!(of(&["return=representation"]), Some(Return::Representation));
        for none in
            [&[][..], &[""], &["return"], &["return="], &["return=everything"], &["note=\"return=minimal\""], &["respond-async"]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
