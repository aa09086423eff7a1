//! The decoder on what real servers have sent: captures of several versions, each message whole, cut short and with flipped bits.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it decoder` records again what the server of `POSTGRES_BIN` sends, and how all captures read.

use std::fmt::{Debug, Write};
use std::path::{Path, PathBuf};

use collections::sync::stream::decoder::{Change, Relations};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use crate::harness::cluster::Cluster;

/// One of each thing that a stream can say.
const TABLES: &str = "
    create type mood as enum ('calm', 'cross');
    create table parents (id uuid primary key, name text, story text, mood mood);
    create table children (id uuid primary key, parent_id uuid not null, note text);
    create unique index children_identity on children (id, parent_id);
    alter table children replica identity using index children_identity;
    create table whole (id uuid, text text);
    alter table whole replica identity full;
    create publication golden for table parents, children (id, parent_id), whole;
    select pg_create_logical_replication_slot('golden', 'pgoutput')";

const WORK: &[&str] = &[
    "insert into parents select '00000000-0000-0000-0000-000000000001', 'One', string_agg(md5(n::text), ''), 'calm'
     from generate_series(1, 300) as n",
    "update parents set name = 'Story untouched'",
    "update parents set name = null, mood = 'cross', id = '00000000-0000-0000-0000-000000000002'",
    "insert into children values ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000002', 'left out')",
    "update children set note = 'nothing that is published'",
    "update children set parent_id = '00000000-0000-0000-0000-000000000003'",
    "delete from children",
    "insert into whole values ('00000000-0000-0000-0000-000000000021', 'full'), (null, 'no key')",
    "update whole set text = 'fuller' where id is not null",
    "delete from whole",
    "begin; insert into parents (id) values ('00000000-0000-0000-0000-000000000004'); savepoint s;
     insert into parents (id) values ('00000000-0000-0000-0000-00000000dead'); rollback to s; commit",
    "begin; insert into parents (id) values ('00000000-0000-0000-0000-000000000005'); prepare transaction 'two'",
    "commit prepared 'two'",
    "begin; delete from parents; rollback",
    "select pg_logical_emit_message(true, 'collections', 'beat')",
    "select pg_replication_origin_create('elsewhere'); select pg_replication_origin_session_setup('elsewhere')",
    "insert into parents (id) values ('00000000-0000-0000-0000-000000000006')",
    "select pg_replication_origin_session_reset()",
    "truncate parents, whole",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

async fn capture(connection: &mut PgConnection) -> (i32, String) {
    for statement in TABLES.split(';').chain(WORK.iter().copied()) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *connection).await.unwrap();
    }
    let version: String = sqlx::query_scalar("show server_version_num").fetch_one(&mut *connection).await.unwrap();
    let messages = "select encode(data, 'hex') from pg_logical_slot_get_binary_changes('golden', null, null,
        'proto_version', '1', 'publication_names', 'golden', 'messages', 'true')";
    let rows = sqlx::query(messages).fetch_all(connection).await.unwrap();
    (version.parse::<i32>().unwrap() / 10_000, rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect())
}

/// The captures by name.
fn captures() -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    found.sort();
    let bytes = |line: &str| (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
    let read = |path: PathBuf| {
        let messages = std::fs::read_to_string(&path).unwrap().lines().map(bytes).collect();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), messages)
    };
    found.into_iter().map(read).collect()
}

/// Whether the replication client decodes this one itself: begin, commit and message.
fn is_frame(message: &[u8]) -> bool {
    matches!(message[0], b'B' | b'C' | b'M')
}

/// The ids of a row in the order of its columns, whatever type holds them.
fn ids(row: &[impl Debug]) -> Vec<Option<Uuid>> {
    let id = |text: String| text.split(|c: char| !c.is_ascii_hexdigit() && c != '-').find_map(|part| part.parse().ok());
    row.iter().map(|value| id(format!("{value:?}"))).collect()
}

/// Each message as a line: what changed in which table, with the ids before and after.
fn read(messages: &[Vec<u8>]) -> String {
    let mut relations = Relations::default();
    let mut text = String::new();
    for message in messages {
        let kind = char::from(message[0]);
        if is_frame(message) {
            writeln!(text, "{kind}").unwrap();
            continue;
        }
        let shown = |row: &[Option<Uuid>]| {
            row.iter().map(|id| id.map_or("-".to_owned(), |id| format!("{:x}", id.as_u128()))).collect::<Vec<_>>().join(" ")
        };
        let row = |row: Option<_>| row.map_or("none".to_owned(), |row: Vec<_>| shown(&ids(&row)));
        let (relation, old, new) = match relations.read(message).unwrap() {
            None => {
                writeln!(text, "{kind}").unwrap();
                continue;
            }
            Some(Change::Truncate { relations: numbers }) => {
                let names: Vec<_> = numbers.iter().map(|number| relations.get(*number).unwrap().table.as_str()).collect();
                writeln!(text, "{kind} {}", names.join(" ")).unwrap();
                continue;
            }
            Some(Change::Insert { relation, new }) => (relation, None, Some(new)),
            Some(Change::Update { relation, old, new }) => (relation, old, Some(new)),
            Some(Change::Delete { relation, old }) => (relation, Some(old), None),
        };
        let table = &relations.get(relation).unwrap().table;
        writeln!(text, "{kind} {table}: {} -> {}", row(old), row(new)).unwrap();
    }
    text
}

#[tokio::test]
async fn captures_of_every_version_read_as_what_was_done() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    if is_update {
        let cluster = Cluster::start_with("max_prepared_transactions = 5").await;
        let (version, messages) = capture(&mut cluster.connect().await).await;
        std::fs::write(folder().join(format!("postgres-{version}.hex")), messages).unwrap();
    }
    let captures = captures();
    assert!(!captures.is_empty());
    for (name, messages) in &captures {
        let path = folder().join(format!("{name}.txt"));
        if is_update {
            std::fs::write(&path, read(messages)).unwrap();
        }
        assert_eq!(read(messages), std::fs::read_to_string(&path).unwrap(), "{name}");
    }
}

/// The change if it can be read, after the descriptions of all tables.
fn reread(messages: &[Vec<u8>], message: &[u8]) -> Option<Option<Change>> {
    let mut relations = Relations::default();
    for description in messages.iter().filter(|message| message[0] == b'R') {
        relations.read(description).unwrap();
    }
    relations.read(message).ok()
}

#[test]
fn no_capture_reads_when_it_is_cut_short() {
    for (name, messages) in captures() {
        for message in messages.iter().filter(|message| !is_frame(message)) {
            assert!(reread(&messages, message).is_some());
            for length in (0..message.len()).rev().take(200).chain(0..message.len().min(200)) {
                assert!(reread(&messages, &message[..length]).is_none(), "{name}: {message:?} cut to {length}");
            }
        }
    }
}

/// A flipped bit can turn one id into another, which no decoder can see, but it never moves what stands beside it.
#[test]
fn a_flipped_bit_changes_one_id_at_most() {
    let rows = |change: &Change| match change {
        Change::Insert { new, .. } => [None, Some(ids(new))],
        Change::Update { old, new, .. } => [old.as_ref().map(|row| ids(row)), Some(ids(new))],
        Change::Delete { old, .. } => [Some(ids(old)), None],
        Change::Truncate { .. } => [None, None],
    };
    for (name, messages) in captures() {
        for message in messages.iter().filter(|message| matches!(message[0], b'I' | b'U' | b'D')) {
            let Some(Some(whole)) = reread(&messages, message) else { panic!("{name}: {message:?} reads") };
            let (whole, bits) = (rows(&whole), message.len() * 8);
            for bit in (0..bits).filter(|bit| *bit < 3_000 || bit + 500 > bits) {
                let mut flipped = message.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let Some(Some(change)) = reread(&messages, &flipped) else { continue };
                let both = rows(&change).into_iter().zip(&whole);
                let differing: usize = both
                    .map(|(one, other)| match (one, other) {
                        (Some(one), Some(other)) if one.len() == other.len() => {
                            one.iter().zip(other).filter(|(one, other)| one != other).count()
                        }
                        (one, other) => usize::from(one != *other) * 2,
                    })
                    .sum();
                assert!(differing <= 1, "{name}: bit {bit} of {message:?}");
            }
        }
    }
}
