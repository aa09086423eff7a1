//! Decodes row messages of the `pgoutput` plugin, protocol version 1. Of the values only UUIDs and integers are read.
//!
//! The replication client decodes Begin, Commit and Message. Format: "Logical Replication Message Formats" in the manual of Postgres.

use std::collections::HashMap;

use uuid::Uuid;

#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// `relation` is the table's number; see [`Relations::get`].
    Insert {
        relation: u32,
        new: Row,
    },
    /// `old` is the replica identity before, if that changed.
    Update {
        relation: u32,
        old: Option<Row>,
        new: Row,
    },
    /// `old` is the replica identity.
    Delete {
        relation: u32,
        old: Row,
    },
    Truncate {
        relations: Vec<u32>,
    },
}

/// The published columns of a row, in order.
pub type Row = Vec<Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Null, or left out.
    Absent,
    Id(Uuid),
    Number(i64),
    /// Anything else; only its presence matters.
    Other,
}

impl Value {
    #[must_use]
    pub fn id(self) -> Option<Uuid> {
        if let Self::Id(id) = self { Some(id) } else { None }
    }

    #[must_use]
    pub fn number(self) -> Option<i64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

/// A published table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Without the schema.
    pub table: String,
    /// Names of the published columns.
    pub columns: Vec<String>,
}

impl Relation {
    /// Returns the value of a column, which is absent too if the column is not published.
    #[must_use]
    pub fn value(&self, row: &Row, column: &str) -> Value {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| row.get(at)).copied().unwrap_or(Value::Absent)
    }

    /// Whether two rows differ in one of the columns. A row from before the column existed does not tell, and counts as different.
    #[must_use]
    pub fn differs(&self, columns: &[&str], old: Option<&Row>, new: Option<&Row>) -> bool {
        columns.iter().any(|column| {
            let [before, after] = [old, new].map(|row| row.map(|row| self.value(row, column)));
            before != after || before == Some(Value::Absent)
        })
    }
}

/// A message that `pgoutput` never sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken change stream: {0}")]
pub struct Broken(&'static str);

/// The tables that the stream has described so far; later messages refer to them by number.
#[derive(Debug, Default)]
pub struct Relations(HashMap<u32, Relation>);

impl Relations {
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Relation> {
        self.0.get(&number)
    }

    /// Reads one message. Descriptions of tables, types and origins return no change.
    ///
    /// # Errors
    /// The message is too short or too long, of an unknown kind, or refers to a table that was not described.
    pub fn read(&mut self, message: &[u8]) -> Result<Option<Change>, Broken> {
        let mut rest = Bytes(message);
        let change = match rest.byte()? {
            b'R' => {
                let number = rest.number()?;
                let relation = rest.relation()?;
                self.0.insert(number, relation);
                None
            }
            b'I' => {
                let relation = rest.number()?;
                rest.expect(b'N')?;
                Some(Change::Insert { relation, new: self.row(relation, &mut rest)? })
            }
            b'U' => {
                let relation = rest.number()?;
                let (old, mark) = match rest.byte()? {
                    b'K' | b'O' => (Some(self.row(relation, &mut rest)?), rest.byte()?),
                    mark => (None, mark),
                };
                if mark != b'N' {
                    return Err(Broken("an update without the new row"));
                }
                Some(Change::Update { relation, old, new: self.row(relation, &mut rest)? })
            }
            b'D' => {
                let relation = rest.number()?;
                let (b'K' | b'O') = rest.byte()? else { return Err(Broken("a delete without the old row")) };
                Some(Change::Delete { relation, old: self.row(relation, &mut rest)? })
            }
            b'T' => {
                let count = rest.number()?;
                let _options = rest.byte()?;
                let relations = (0..count).map(|_| rest.number()).collect::<Result<Vec<_>, _>>()?;
                if !relations.iter().all(|number| self.0.contains_key(number)) {
                    return Err(Broken("an unknown table"));
                }
                Some(Change::Truncate { relations })
            }
            b'Y' => {
                rest.take(4)?;
                rest.text()?;
                rest.text()?;
                None
            }
            b'O' => {
                rest.take(8)?;
                rest.text()?;
                None
            }
            _ => return Err(Broken("an unknown kind of message")),
        };
        if rest.0.is_empty() { Ok(change) } else { Err(Broken("bytes after the end of a message")) }
    }

    fn row(&self, relation: u32, rest: &mut Bytes<'_>) -> Result<Row, Broken> {
        let columns = self.get(relation).ok_or(Broken("an unknown table"))?.columns.len();
        if usize::from(rest.short()?) != columns {
            return Err(Broken("a row with another number of columns than its table"));
        }
        (0..columns).map(|_| rest.column()).collect()
    }
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken("a message that is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Broken("a message that is cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    fn short(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_be_bytes)
    }

    fn number(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    fn expect(&mut self, mark: u8) -> Result<(), Broken> {
        if self.byte()? == mark { Ok(()) } else { Err(Broken("a row without its mark")) }
    }

    fn text(&mut self) -> Result<String, Broken> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Broken("a name without an end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        String::from_utf8(text.to_vec()).map_err(|_| Broken("a name that is not UTF-8"))
    }

    fn relation(&mut self) -> Result<Relation, Broken> {
        let _schema = self.text()?;
        let table = self.text()?;
        let _replica_identity = self.byte()?;
        let columns = self.short()?;
        let columns = (0..columns)
            .map(|_| {
                let _part_of_the_key = self.byte()?;
                let name = self.text()?;
                let _type_and_modifier = self.take(8)?;
                Ok(name)
            })
            .collect::<Result<_, _>>()?;
        Ok(Relation { table, columns })
    }

    fn column(&mut self) -> Result<Value, Broken> {
        match self.byte()? {
            // Null, or an unchanged TOAST value; no published column is large enough for TOAST.
            b'n' | b'u' => Ok(Value::Absent),
            b't' => {
                let length = usize::try_from(self.number()?).map_err(|_| Broken("a length beyond this machine"))?;
                let value = self.take(length)?;
                Ok(match length {
                    36 => Uuid::try_parse_ascii(value).map_or(Value::Other, Value::Id),
                    // Longer numbers exceed 64 bits.
                    1..=20 => {
                        std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).map_or(Value::Other, Value::Number)
                    }
                    _ => Value::Other,
                })
            }
            _ => Err(Broken("an unknown kind of column")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: Uuid = Uuid::from_u128(1);
    const OWNER: Uuid = Uuid::from_u128(2);

    fn relation() -> Vec<u8> {
        let mut message = b"R\0\0\0\x07public\0accounts\0i\0\x02".to_vec();
        for column in ["id", "customer_id"] {
            message.push(1);
            message.extend(column.bytes());
            message.extend(b"\0\0\0\x0b\x86\xff\xff\xff\xff");
        }
        message
    }

    fn value(id: Option<Uuid>) -> Value {
        id.map_or(Value::Absent, Value::Id)
    }

    fn row(message: &mut Vec<u8>, mark: u8, values: [Option<Uuid>; 2]) {
        message.push(mark);
        message.extend(2u16.to_be_bytes());
        for value in values {
            match value {
                Some(id) => {
                    message.extend(b"t\0\0\0\x24");
                    message.extend(id.to_string().bytes());
                }
                None => message.push(b'n'),
            }
        }
    }

    fn message(kind: u8, rows: &[(u8, [Option<Uuid>; 2])]) -> Vec<u8> {
        let mut message = vec![kind, 0, 0, 0, 7];
        for (mark, values) in rows {
            row(&mut message, *mark, *values);
        }
        message
    }

    fn known() -> Relations {
        let mut relations = Relations::default();
        assert_eq!(relations.read(&relation()), Ok(None));
        relations
    }

    fn every_kind() -> Vec<Vec<u8>> {
        vec![
            relation(),
            message(b'I', &[(b'N', [Some(ID), Some(OWNER)])]),
            message(b'U', &[(b'N', [Some(ID), Some(OWNER)])]),
            message(b'U', &[(b'K', [Some(ID), None]), (b'N', [Some(ID), Some(OWNER)])]),
            message(b'D', &[(b'K', [Some(ID), Some(OWNER)])]),
            b"T\0\0\0\x01\x00\0\0\0\x07".to_vec(),
            b"Y\0\0\0\x01public\0status\0".to_vec(),
            b"O\0\0\0\0\0\0\0\x01elsewhere\0".to_vec(),
        ]
    }

    #[test]
    fn the_stream_describes_a_table_before_its_rows() {
        let columns = vec!["id".to_owned(), "customer_id".to_owned()];
        assert_eq!(known().get(7), Some(&Relation { table: "accounts".into(), columns }));
        let insert = message(b'I', &[(b'N', [Some(ID), Some(OWNER)])]);
        assert_eq!(Relations::default().read(&insert), Err(Broken("an unknown table")));
    }

    #[test]
    fn updates_and_deletes_carry_the_old_identity() {
        let check = |message: &[u8], change| assert_eq!(known().read(message), Ok(Some(change)));
        let (relation, whole) = (7, || vec![value(Some(ID)), value(Some(OWNER))]);
        check(&message(b'I', &[(b'N', [Some(ID), Some(OWNER)])]), Change::Insert { relation, new: whole() });
        check(&message(b'U', &[(b'N', [Some(ID), Some(OWNER)])]), Change::Update { relation, old: None, new: whole() });
        let moved = message(b'U', &[(b'K', [Some(ID), None]), (b'N', [Some(ID), Some(OWNER)])]);
        let old = Some(vec![value(Some(ID)), Value::Absent]);
        check(&moved, Change::Update { relation, old, new: whole() });
        check(&message(b'D', &[(b'K', [Some(ID), Some(OWNER)])]), Change::Delete { relation, old: whole() });
    }

    #[test]
    fn integers_are_read_and_of_other_values_only_the_presence() {
        let check = |text: &str, expected: Value| {
            let mut message = message(b'I', &[]);
            message.extend(b"N\0\x02t");
            message.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            message.extend(text.bytes());
            message.push(b'n');
            let new = vec![expected, Value::Absent];
            assert_eq!(known().read(&message), Ok(Some(Change::Insert { relation: 7, new })));
        };
        check("17", Value::Number(17));
        check("-9223372036854775808", Value::Number(i64::MIN));
        check("9223372036854775808", Value::Other);
        check("2026-11-21 16:40:00+00", Value::Other);
        check("", Value::Other);
        check(&ID.to_string(), Value::Id(ID));
        check(&"x".repeat(36), Value::Other);
    }

    #[test]
    fn truncated_tables_are_listed() {
        assert_eq!(known().read(b"T\0\0\0\x01\x00\0\0\0\x07"), Ok(Some(Change::Truncate { relations: vec![7] })));
        assert_eq!(known().read(b"T\0\0\0\x01\x00\0\0\0\x08"), Err(Broken("an unknown table")));
    }

    #[test]
    fn messages_that_are_too_short_or_too_long_are_errors() {
        for message in every_kind() {
            assert!(known().read(&message).is_ok());
            for length in 0..message.len() {
                assert!(known().read(&message[..length]).is_err(), "{:?} cut to {length}", char::from(message[0]));
            }
            assert!(known().read(&[&message[..], b"\0"].concat()).is_err());
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = known().read(&garbage);
        }

        #[test]
        fn a_flipped_bit_never_panics(kind in 0..8usize, at in any::<proptest::sample::Index>(), bit in 0..8u8) {
            let mut message = every_kind().swap_remove(kind);
            let at = at.index(message.len());
            message[at] ^= 1 << bit;
            let _ = known().read(&message);
        }
    }
}
