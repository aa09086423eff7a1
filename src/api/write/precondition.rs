//! `If-Match`: a write goes on only if the record has a version that the client knows (RFC 9110, 13.1.1).

use hyper::header::{HeaderValue, IF_MATCH};

use crate::api::Request;
use crate::error::{Error, Result};

/// What a client asks for.
#[derive(Debug, PartialEq)]
enum IfMatch {
    /// Whatever there is.
    Any,
    /// One of these versions. Tags that are weak or of another server are not among them, so perhaps none.
    Versions(Vec<i64>),
}

impl Request {
    /// Refuses to go on if `If-Match` names other versions than the current one. Call it with the row locked.
    pub fn expect_version(&self, current: i64) -> Result<()> {
        let values: Vec<&HeaderValue> = self.headers.get_all(IF_MATCH).iter().collect();
        if values.is_empty() {
            return if self.app.config.http.require_if_match { Err(Error::PreconditionRequired) } else { Ok(()) };
        }
        let lines: Option<Vec<&str>> = values.iter().map(|value| value.to_str().ok()).collect();
        let wanted = lines.and_then(|lines| read(&lines.join(",")));
        match wanted
            .ok_or_else(|| Error::malformed("bad_if_match", "If-Match accepts ETags of this API, such as \"v17\", or *"))?
        {
            IfMatch::Versions(versions) if !versions.contains(&current) => Err(Error::Stale { current }),
            _ => Ok(()),
        }
    }
}

/// Reads the field's value; none if it is not valid.
fn read(value: &str) -> Option<IfMatch> {
    if value.trim() == "*" {
        return Some(IfMatch::Any);
    }
    let (mut versions, mut is_empty) = (Vec::new(), true);
    let mut rest = value;
    loop {
        // A list may have empty elements (RFC 9110, 5.6.1).
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!is_empty).then_some(IfMatch::Versions(versions));
        }
        let weak = rest.strip_prefix("W/");
        let (tag, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if tag.contains(|sign: char| !sign.is_ascii_graphic()) {
            return None;
        }
        // The comparison is strong: a weak tag equals none.
        versions.extend(version(tag).filter(|_| weak.is_none()));
        is_empty = false;
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// The version in `v17`, or in the whole tag `v17-5c1f2a90`.
fn version(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix('v')?;
    tag.split_once('-').map_or(tag, |(version, _)| version).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_the_standard_says() {
        for (value, versions) in [
            (r#""v17""#, &[17][..]),
            (r#""v17-5c1f2a90""#, &[17]),
            (r#" "v1" ,, "v2","v3" "#, &[1, 2, 3]),
            (r#"W/"v1""#, &[]),
            (r#"W/"v1", "v2""#, &[2]),
            (r#""of-another,server", "v2""#, &[2]),
            (r#""""#, &[]),
        ] {
            assert_eq!(read(value), Some(IfMatch::Versions(versions.to_vec())), "{value}");
        }
        assert_eq!(read(" * "), Some(IfMatch::Any));
        for broken in
            ["", ",", "v1", "\"v1", "\"v1\" \"v2\"", "\"v1\", *", "w/\"v1\"", "W/ \"v1\"", "\"of another\"", "\"v\u{7f}\""]
        {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
