//! SQL statements, as sqlx tells of each in an event: its text with placeholders, never the values that are bound to them.

use std::fmt::Debug;
use std::time::Duration;

use memchr::memmem;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::timings;

pub(super) fn is_statement(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "sqlx::query"
}

/// Counts every statement. It costs about a microsecond, most of which sqlx needs to put the event together.
pub(super) struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        timings::statement(&statement.class, Duration::from_secs_f64(statement.seconds));
    }
}

#[derive(Default)]
struct Statement {
    class: String,
    seconds: f64,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, text: &str) {
        // Of a short statement the summary is all; the text of a longer one comes after it.
        if matches!(field.name(), "summary" | "db.statement") && !text.is_empty() {
            self.class = class(text);
        }
    }

    fn record_f64(&mut self, field: &Field, seconds: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = seconds;
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

/// The class of a statement: its verb, and the first table that it names if it names one.
fn class(sql: &str) -> String {
    let sql = sql.trim_start();
    let verb = sql[..sql.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(sql.len())].to_ascii_lowercase();
    let before_table = match verb.as_str() {
        "insert" => "into",
        "update" => "update",
        _ => "from",
    };
    match table(sql, before_table) {
        Some(table) => format!("{verb} {table}"),
        None => verb,
    }
}

fn table<'a>(sql: &'a str, before: &str) -> Option<&'a str> {
    let is_space = |at: Option<usize>| at.and_then(|at| sql.as_bytes().get(at)).is_none_or(u8::is_ascii_whitespace);
    memmem::find_iter(sql.as_bytes(), before).find_map(|at| {
        let rest = &sql[at + before.len()..];
        let is_word = is_space(at.checked_sub(1)) && rest.starts_with(|c: char| c.is_ascii_whitespace());
        let rest = rest.trim_start();
        let name =
            &rest[..rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len())];
        Some(name).filter(|name| is_word && !name.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_verb_and_the_first_table() {
        for (sql, expected) in [
            ("select id\n  from accounts a\n  where id = $1", "select accounts"),
            ("\n\n  select a.from_day, x from (select 1 from customers) x", "select customers"),
            ("insert into payments (id) select id from other", "insert payments"),
            ("update sync_state set lsn = $1", "update sync_state"),
            ("delete from sessions where id = $1", "delete sessions"),
            ("with a as (select 1) select b from jsonb_to_recordset($1)", "with jsonb_to_recordset"),
            ("BEGIN", "begin"),
            ("COMMIT", "commit"),
            ("select pg_notify($1, $2)", "select"),
            ("select 1 from", "select"),
            ("", ""),
        ] {
            assert_eq!(class(sql), expected, "{sql}");
        }
    }
}
