//! Bounded and closed JSON: unknown members and other types are refused, with the JSON pointer.

mod typed;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::validate::json::parse;
use crate::values::json::{Object, Value};

/// Values in one body. A value takes up to a hundred times the memory of its text.
const MAX_VALUES: usize = 10_500;

/// Values in a body that changes many records: 10,000 of them, each with its id, its version and a few changes.
const MAX_VALUES_OF_MANY: usize = 60_000;

/// Reads JSON of exactly this type.
///
/// Stricter than a derive alone: refuses unknown members of every type, arrays in place of objects, repeated members, and NUL in
/// texts. Broken syntax is 400, a value of another type or range 422; the first violation is reported.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    fit(&parse(bytes, MAX_VALUES)?)
}

/// Reads an object of any members, whose numbers keep their digits; refuses what [`read`] refuses of any type.
pub(crate) fn object(bytes: &[u8]) -> Result<Object> {
    object_of(bytes, MAX_VALUES)
}

/// Reads an object that changes many records, and so has more values than others.
pub(crate) fn object_of_many(bytes: &[u8]) -> Result<Object> {
    object_of(bytes, MAX_VALUES_OF_MANY)
}

fn object_of(bytes: &[u8], max_values: usize) -> Result<Object> {
    parse(bytes, max_values)?.into_object().ok_or_else(|| Error::invalid("", "wrong_type", "expected an object"))
}

/// Reads a parsed value as [`read`] does.
pub(crate) fn fit<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(typed::Located::root(value)).map_err(typed::Mismatch::into_error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Person {
        name: String,
        #[serde(default)]
        age: Option<u8>,
        #[serde(default)]
        phones: Vec<Phone>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        metadata: BTreeMap<String, serde_json::Value>,
        #[serde(default)]
        born: Option<chrono::NaiveDate>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Phone {
        number: String,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Person,
        Company,
    }

    fn refusal(body: &[u8]) -> (u16, String, String) {
        match read::<Person>(body) {
            Ok(person) => panic!("{} was read as {person:?}", String::from_utf8_lossy(body)),
            Err(Error::Malformed { code, violations, .. }) => (400, violations[0].pointer.clone(), code.to_owned()),
            Err(Error::Invalid(violations)) => (422, violations[0].pointer.clone(), violations[0].code.clone().into_owned()),
            Err(error) => panic!("unexpected {error:?}"),
        }
    }

    #[track_caller]
    fn check(body: &str, status: u16, pointer: &str, code: &str) {
        assert_eq!(refusal(body.as_bytes()), (status, pointer.to_owned(), code.to_owned()), "{body}");
    }

    #[test]
    fn what_fits_is_read() {
        let body = br#"{"name":"A","age":7,"phones":[{"number":"1"}],"kind":"company","metadata":{"a":[1,{"b":null}]},"born":"2001-02-03"}"#;
        let person: Person = read(body).unwrap();
        assert_eq!((person.age, person.kind), (Some(7), Some(Kind::Company)));
        assert_eq!(person.metadata["a"], serde_json::json!([1, { "b": null }]));
        assert_eq!(read::<Person>(br#" {"name":"A","age":null} "#).unwrap().age, None);
    }

    #[test]
    fn an_object_keeps_the_digits_of_its_numbers() {
        let body = r#"{"a":9999999999999.9999999,"b":[1e3,-0.0,"1.0"],"c":{"d":123456789012345678901234567890,"e":1.10}}"#;
        assert_eq!(serde_json::to_string(&object(body.as_bytes()).unwrap()).unwrap(), body);
    }

    #[test]
    fn broken_syntax_is_named_with_its_place() {
        check("", 400, "", "bad_json");
        check("{", 400, "", "bad_json");
        check(r#"{"name":"A"} x"#, 400, "", "bad_json");
        check(r#"{"name":"A",}"#, 400, "", "bad_json");
        check(r#"{"phones":[{"number":tru}]}"#, 400, "/phones/0/number", "bad_json");
        check(r#"{"name":"\ud800"}"#, 400, "/name", "bad_json");
        check("{\"name\":\"a\nb\"}", 400, "/name", "bad_json");
        check(r#"{"name":NaN}"#, 400, "/name", "bad_json");
        check(r#"{"age":01}"#, 400, "/age", "bad_json");
        let too_deep = format!("/metadata{}", "/0".repeat(63));
        check(&format!("{{\"metadata\":{}{}}}", "[".repeat(5000), "]".repeat(5000)), 400, &too_deep, "too_deep");
        assert_eq!(refusal(b"{\"name\":\"\xff\"}").0, 400);
        assert_eq!(refusal(b"\xef\xbb\xbf{}").0, 400);
    }

    #[test]
    fn repeated_members_are_refused() {
        check(r#"{"name":"A","name":"B"}"#, 400, "/name", "duplicate_member");
        check(r#"{"name":"A","na\u006de":"B"}"#, 400, "/name", "duplicate_member");
        check(r#"{"name":"A","metadata":{"x/y":{"a":1,"a":1}}}"#, 400, "/metadata/x~1y/a", "duplicate_member");
    }

    #[test]
    fn a_body_has_a_bounded_number_of_values() {
        let body = |count: usize| format!(r#"{{"name":"A","metadata":{{"list":[{}]}}}}"#, vec!["{}"; count].join(","));
        assert!(read::<Person>(body(10_497).as_bytes()).is_ok());
        check(&body(10_499), 422, "/metadata", "too_many");
        check(&body(300_000), 422, "/metadata/list", "too_many");
        let members: Vec<String> = (0..20_000).map(|n| format!(r#""{n}":0"#)).collect();
        check(&format!("{{{}}}", members.join(",")), 422, "", "too_many");
    }

    #[test]
    fn long_names_are_repeated_only_in_part() {
        let name = "n".repeat(100);
        let shown = format!("/{}…", "n".repeat(64));
        check(&format!(r#"{{"name":"A","{name}":1}}"#), 422, &shown, "unknown_member");
        check(&format!(r#"{{"{name}":1,"{name}":1}}"#), 400, &shown, "duplicate_member");
    }

    #[test]
    fn unknown_members_are_refused_at_every_level() {
        check(r#"{"name":"A","nmae":"B"}"#, 422, "/nmae", "unknown_member");
        check(r#"{"name":"A","phones":[{"number":"1"},{"number":"1","x":[]}]}"#, 422, "/phones/1/x", "unknown_member");
    }

    #[test]
    fn an_array_never_stands_for_an_object() {
        check(r#"["A"]"#, 422, "", "wrong_type");
        check(r#"{"name":"A","phones":[["1"]]}"#, 422, "/phones/0", "wrong_type");
        check(r#"{"name":"A","phones":{"0":{"number":"1"}}}"#, 422, "/phones", "wrong_type");
    }

    #[test]
    fn values_that_do_not_fit_are_named() {
        check("null", 422, "", "wrong_type");
        check("{}", 422, "/name", "required");
        check(r#"{"name":null}"#, 422, "/name", "wrong_type");
        check(r#"{"name":1}"#, 422, "/name", "wrong_type");
        check(r#"{"name":"A","age":"7"}"#, 422, "/age", "wrong_type");
        check(r#"{"name":"A","age":256}"#, 422, "/age", "not_acceptable");
        check(r#"{"name":"A","age":-1}"#, 422, "/age", "not_acceptable");
        check(r#"{"name":"A","age":1.5}"#, 422, "/age", "wrong_type");
        check(r#"{"name":"A","age":1e400}"#, 422, "/age", "out_of_range");
        check(r#"{"name":"A","kind":"cat"}"#, 422, "/kind", "unknown_value");
        check(r#"{"name":"A","kind":{"person":null}}"#, 422, "/kind", "wrong_type");
        check(r#"{"name":"A","born":"tomorrow"}"#, 422, "/born", "not_acceptable");
        check(r#"{"name":"A\u0000"}"#, 422, "/name", "unstorable_text");
        check(r#"{"name":"A","metadata":{"a\u0000":1}}"#, 422, "/metadata", "unstorable_text");
    }

    #[test]
    fn refusals_never_repeat_values() {
        for body in [r#"{"name":"A","age":"Jane"}"#, r#"{"name":"A","kind":"Jane"}"#, r#"{"name":"A","phones":"Jane"}"#] {
            let error = read::<Person>(body.as_bytes()).unwrap_err();
            assert!(!format!("{error:?}").contains("Jane"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read::<Person>(&bytes).map_err(|error| error.status()).map_or_else(|status| assert!(status < 500), drop);
        }

        #[test]
        fn broken_copies_of_good_bodies_are_read_or_refused(at in 0_usize..90, byte in any::<u8>()) {
            let mut body = br#"{"name":"A","age":7,"phones":[{"number":"1"}],"kind":"company","metadata":{"a":[1,{"b":null}]}}"#.to_vec();
            body[at] = byte;
            read::<Person>(&body).map_err(|error| error.status()).map_or_else(|status| assert!(status < 500), drop);
        }
    }
}
