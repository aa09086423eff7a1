//! Any bytes as a change stream, its messages ended by 0xFE, which no UTF-8 text contains: the decoder takes a message or refuses it,
//! and what it takes can be looked up.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/sync/stream/decoder.rs"]
mod stream;

use stream::{Change, Relations, Row};

fuzz_target!(|stream: &[u8]| {
    let mut relations = Relations::default();
    for message in stream.split(|byte| *byte == 0xFE) {
        match relations.read(message) {
            Ok(Some(Change::Insert { relation, new: row } | Change::Delete { relation, old: row })) => {
                look_up(&relations, relation, &row)
            }
            Ok(Some(Change::Update { relation, old, new })) => {
                old.iter().chain([&new]).for_each(|row| look_up(&relations, relation, row));
            }
            Ok(Some(Change::Truncate { relations: numbers })) => {
                assert!(numbers.iter().all(|number| relations.get(*number).is_some()));
            }
            Ok(None) => {}
            Err(broken) => assert!(!broken.to_string().is_empty()),
        }
    }
});

fn look_up(relations: &Relations, relation: u32, row: &Row) {
    let table = relations.get(relation).expect("a table that was described");
    assert_eq!(row.len(), table.columns.len());
    for column in &table.columns {
        let value = table.value(row, column);
        assert!(value.id().is_none() || value.number().is_none());
    }
}
