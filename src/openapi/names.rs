//! Names of operations. They follow from the address, so that they stay when handlers are renamed.

use crate::http::Row;

/// First segments that group actions and name no records.
const GROUPS: [&str; 4] = ["auth", "sync", "openapi.json", "postman.json"];

/// Whether an address is that of records.
pub(super) fn is_of_records(segments: &[&str]) -> bool {
    segments.first().is_some_and(|first| !GROUPS.contains(first))
}

/// The words of an operation: what it does, and with what. `listAccountPayments` is `list`, `account`, `payments`.
pub(super) fn words(row: &Row, segments: &[&str], status: u16, is_list: bool) -> Vec<String> {
    let is_id = |at: usize| segments.get(at).is_some_and(|segment| segment.starts_with('{'));
    let last = segments.len() - 1;
    let is_group = |at: usize| at == 0 && !is_of_records(segments) && last > 0;
    // The nouns up to a segment; one of many is in the singular.
    let nouns = |end: usize, is_plural: bool| {
        let literals = (0..end).filter(|at| !is_id(*at) && !is_group(*at));
        literals
            .flat_map(|at| {
                let is_one = is_id(at + 1) || (at + 1 == end && !is_plural);
                let noun = if is_one { singular(segments[at]) } else { segments[at].to_owned() };
                noun.split(['-', '.', '_']).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    // What is done in a group is no record, even if it makes one.
    let is_action = row.method == "POST" && !is_id(last) && (status != 201 || !is_of_records(segments));
    if is_action {
        let verb = segments[last].split('-').map(str::to_owned);
        return verb.chain(nouns(last, is_list)).collect();
    }
    let verb = match row.method.as_str() {
        "GET" if is_list => "list",
        "GET" => "get",
        "POST" => "create",
        "PATCH" => "change",
        "PUT" => "replace",
        _ => "delete",
    };
    let is_plural = row.method == "GET" && !is_id(last);
    [verb.to_owned()].into_iter().chain(nouns(segments.len(), is_plural)).collect()
}

/// `list account payments` as `listAccountPayments`.
pub(super) fn camel(words: &[String]) -> String {
    let capital = |(at, word): (usize, &String)| match word.chars().next() {
        Some(first) if at > 0 => format!("{}{}", first.to_uppercase(), &word[first.len_utf8()..]),
        _ => word.clone(),
    };
    words.iter().enumerate().map(capital).collect()
}

/// The words as a title, for an operation that says no other: `Create an account payment`.
pub(super) fn title(words: &[String]) -> String {
    let (verb, nouns) = words.split_first().map_or(("", &[][..]), |(verb, nouns)| (verb.as_str(), nouns));
    let nouns = nouns.join(" ");
    let article = match nouns.chars().next() {
        None => "",
        _ if matches!(verb, "list" | "search") => " ",
        Some('a' | 'e' | 'i' | 'o') => " an ",
        Some(_) => " a ",
    };
    let capital = verb.get(..1).unwrap_or_default().to_uppercase();
    format!("{capital}{}{article}{nouns}", verb.get(1..).unwrap_or_default())
}

fn singular(plural: &str) -> String {
    if let Some(stem) = plural.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let stem = plural.strip_suffix("es").filter(|stem| stem.ends_with("ss") || stem.ends_with("ch"));
    stem.or_else(|| plural.strip_suffix('s').filter(|stem| !stem.ends_with('s'))).unwrap_or(plural).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str, status: u16, is_list: bool) -> String {
        let row = Row::new("", method, "", "public", "", |_| {});
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        camel(&words(&row, &segments, status, is_list))
    }

    #[test]
    fn operations_are_named_by_their_addresses() {
        for (method, path, status, is_list, expected) in [
            ("get", "/payments", 200, true, "listPayments"),
            ("post", "/payments", 201, false, "createPayment"),
            ("post", "/payments/search", 200, true, "searchPayments"),
            ("get", "/payments/{PaymentId}", 200, false, "getPayment"),
            ("patch", "/payments/{PaymentId}", 200, false, "changePayment"),
            ("put", "/payments/{PaymentId}", 200, false, "replacePayment"),
            ("delete", "/payments/{PaymentId}", 204, false, "deletePayment"),
            ("post", "/payments/{PaymentId}/restore", 200, false, "restorePayment"),
            ("get", "/accounts/{AccountId}/payments", 200, true, "listAccountPayments"),
            ("post", "/accounts/{AccountId}/payments", 201, false, "createAccountPayment"),
            ("post", "/customers/{CustomerId}/addresses", 201, false, "createCustomerAddress"),
            ("delete", "/customers/{CustomerId}/contact-points/{ContactPointId}", 204, false, "deleteCustomerContactPoint"),
            ("get", "/saved-searches", 200, true, "listSavedSearches"),
            ("patch", "/saved-searches/{SavedSearchId}", 200, false, "changeSavedSearch"),
            ("post", "/auth/login", 200, false, "login"),
            ("post", "/auth/refresh-token", 200, false, "refreshToken"),
            ("post", "/auth/register", 201, false, "register"),
            ("get", "/auth/profile", 200, false, "getProfile"),
            ("get", "/auth/sessions", 200, true, "listSessions"),
            ("delete", "/auth/sessions/{SessionId}", 204, false, "deleteSession"),
            ("post", "/users/{UserId}/disable", 200, false, "disableUser"),
            ("post", "/sync/reindex", 202, false, "reindex"),
            ("get", "/health/live", 200, false, "getHealthLive"),
            ("get", "/openapi.json", 200, false, "getOpenapiJson"),
            ("get", "/postman.json", 200, false, "getPostmanJson"),
        ] {
            assert_eq!(name(method, path, status, is_list), expected, "{method} {path}");
        }
    }
}
