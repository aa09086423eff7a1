//! Exports: each is its list, row by row, as it was at one moment; harmless to spreadsheets; for those alone who may.

mod access;
mod commands;
mod frozen;
mod jobs;
mod kills;
mod lists;
mod round_trip;

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sqlx::Executor as _;

use crate::harness::client::Client;
use crate::harness::database::Database;

/// A record with its members as they were written.
type Record = BTreeMap<String, Box<RawValue>>;

const COLLECTIONS: [&str; 4] = ["customers", "accounts", "payments", "activities"];

/// Texts that a spreadsheet would calculate, that break tables, and that no writer should change.
const HOSTILE: [&str; 12] = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1-1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "a,b;\"c\"",
    "two\r\nlines",
    "_x0041_ <&> \u{1}",
    "  blanks  ",
    "😀 ünï",
];

/// Makes payments and activities with the hostile texts, on accounts that are there.
async fn add_hostile(database: &Database) {
    for (at, text) in HOSTILE.iter().enumerate() {
        let text = format!("'{}'", text.replace('\'', "''"));
        let account = format!("(select id from accounts order by id offset {at} limit 1)");
        let statement = format!(
            "insert into payments (id, account_id, amount, currency, method, receiver, description)
             select gen_random_uuid(), {account}, 12345, currency, 'cash', {text} || 'x', {text} from accounts where id = {account};
             insert into activities (id, account_id, kind, note) values (gen_random_uuid(), {account}, 'note', {text});"
        );
        database.pool.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
}

/// Reads a whole list by its cursors.
async fn listed(client: &Client, collection: &str, query: &str) -> Vec<Record> {
    let (mut records, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/{collection}?limit=100&cursor={cursor}&{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let body: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&page.text).unwrap();
        records.extend(serde_json::from_str::<Vec<Record>>(body["data"].get()).unwrap());
        match page.body["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return records,
        }
    }
}

/// Splits a table as RFC 4180 says.
fn table(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !is_quoted && letters.peek() == Some(&'\n') => {
                letters.next();
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(!is_quoted && row.is_empty() && cell.is_empty(), "the last row ends like the others");
    rows
}

/// What a table shows of a member.
fn shown(member: &RawValue) -> String {
    let json = member.get();
    if matches!(json, "null" | "[]" | "{}") {
        return String::new();
    }
    if let Ok(words) = serde_json::from_str::<Vec<String>>(json) {
        return words.join("; ");
    }
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

/// The bytes of a download.
async fn download(client: &Client, path: &str) -> Vec<u8> {
    let answer = client.get_bytes(path).await;
    assert_eq!(answer.0, 200, "{path}: {}", String::from_utf8_lossy(&answer.1));
    answer.1
}
