//! Files in Postgres: what is stored is read again, grows with its transaction, and is removed when it has expired.

use std::fs::File;
use std::io::{Read, Write};

use chrono::{DateTime, TimeDelta, Utc};
use collections::storage::{self, NewFile, RemoveExpired};
use collections::values::ids::FileId;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::Connection;

use crate::harness::app::TestApp;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn new() -> NewFile<'static> {
    NewFile { name: "people.xlsx", by: None, created_at: now(), expires_at: now() + TimeDelta::days(7) }
}

/// Bytes that differ from part to part.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn on_disk(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

async fn read(database: &Database, id: FileId) -> Vec<u8> {
    let parts: Vec<_> = storage::stream(database.pool.clone(), id).try_collect().await.unwrap();
    parts.concat()
}

#[tokio::test]
async fn a_stored_file_is_read_as_it_was() {
    let database = Database::create().await;
    let mut connection = database.pool.acquire().await.unwrap();
    for length in [0, 1, 1 << 20, (1 << 20) + 1, 3_500_000] {
        let whole = content(length);
        let id = storage::store(&mut connection, on_disk(&whole), new()).await.unwrap();
        assert!(read(&database, id).await == whole, "{length}");
        let mut copy = Vec::new();
        storage::copy_to_temporary(&database.pool, id).await.unwrap().read_to_end(&mut copy).unwrap();
        assert!(copy == whole, "{length}");
        let found = storage::find(&database.pool, id, now()).await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.bytes), ("people.xlsx", i64::try_from(length).unwrap()));
        assert_eq!(found.sha256.unwrap(), Sha256::digest(&whole).to_vec());
        assert!(storage::find(&database.pool, id, now() + TimeDelta::days(7)).await.unwrap().is_none(), "it has expired");
    }
}

#[tokio::test]
async fn a_file_grows_exactly_with_the_transactions_that_commit() {
    let database = Database::create().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let id = storage::create(&mut connection, new()).await.unwrap();
    let mut expected = Vec::new();
    for (step, is_committed) in [true, false, true, false, true].into_iter().enumerate() {
        let part = content(700_000 + step);
        let mut transaction = connection.begin().await.unwrap();
        storage::append(&mut transaction, id, &part).await.unwrap();
        storage::append(&mut transaction, id, b"").await.unwrap();
        storage::append(&mut transaction, id, b"end").await.unwrap();
        if is_committed {
            transaction.commit().await.unwrap();
            expected.extend(part);
            expected.extend(b"end");
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    assert!(read(&database, id).await == expected);
    storage::remove(&mut connection, id).await.unwrap();
    assert_eq!(storage::append(&mut connection, id, b"more").await.unwrap_err().code(), "not_found");
    let lost = storage::copy_to_temporary(&database.pool, id).await.unwrap_err();
    assert_eq!(lost.code(), "not_found");
}

#[tokio::test]
async fn expired_files_are_removed_with_their_parts() {
    let test = TestApp::start_api(&[]).await;
    let mut connection = test.database.pool.acquire().await.unwrap();
    let now = test.clock.now();
    let until = |days| NewFile { created_at: now, expires_at: now + TimeDelta::days(days), ..new() };
    for _ in 0..50 {
        storage::store(&mut connection, on_disk(b"old"), until(-1)).await.unwrap();
    }
    let kept = storage::store(&mut connection, on_disk(b"new"), until(1)).await.unwrap();
    let job = collections::jobs::enqueue(&mut connection, &RemoveExpired {}, Default::default()).await.unwrap();
    tokio::spawn(collections::worker::run(test.app.clone()));
    eventually("the job has finished", async || {
        let job = collections::jobs::store::find(&test.database.pool, job.id()).await.unwrap().unwrap();
        job.status.is_finished()
    })
    .await;
    let left: Vec<uuid::Uuid> =
        sqlx::query_scalar("select file_id from stored_file_parts").fetch_all(&test.database.pool).await.unwrap();
    assert_eq!(left, [kept.0]);
}
