//! Makes a JSON body comparable between runs: identifiers are numbered in order of appearance, moments are checked and hidden.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Numbers identifiers alike in several bodies.
#[derive(Default)]
pub struct Redaction {
    ids: Vec<Uuid>,
}

impl Redaction {
    pub fn redact(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.redact(item)).collect(),
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), self.member(name, value))).collect(),
            other => other.clone(),
        }
    }

    fn member(&mut self, name: &str, value: &Value) -> Value {
        match (name, value) {
            // Depends on the day of the run.
            ("daysPastDue", Value::Number(days)) => {
                assert!(days.as_u64().is_some(), "{days}");
                "[days]".into()
            }
            ("lagMs", Value::Number(lag)) => {
                assert!(lag.as_u64().is_some(), "{lag}");
                "[lag]".into()
            }
            ("nextCursor" | "version", Value::String(_)) => "[opaque]".into(),
            _ => self.redact(value),
        }
    }

    fn text(&mut self, text: &str) -> String {
        if let Ok(id) = text.parse::<Uuid>() {
            let number = self.ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                self.ids.push(id);
                self.ids.len() - 1
            });
            return format!("[id {number}]");
        }
        if text.parse::<DateTime<Utc>>().is_ok() && text.parse::<NaiveDate>().is_err() {
            let (_, fraction) = text.rsplit_once('.').unwrap_or_else(|| panic!("{text} has no milliseconds"));
            assert!(fraction.len() == 4 && fraction.ends_with('Z'), "{text} is not in UTC with milliseconds");
            return "[time]".into();
        }
        text.split('/')
            .map(|part| if part.parse::<Uuid>().is_ok() { self.text(part) } else { part.to_owned() })
            .collect::<Vec<_>>()
            .join("/")
    }
}
