//! Stored files are read part by part.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt, stream};
use sqlx::{PgExecutor, PgPool};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::values::ids::FileId;

/// A file without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub id: Uuid,
    pub name: String,
    pub bytes: i64,
    /// None for a file that grew part by part.
    pub sha256: Option<Vec<u8>>,
    pub created_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Finds a file that has not expired.
pub async fn find(executor: impl PgExecutor<'_>, id: FileId, now: DateTime<Utc>) -> Result<Option<StoredFile>> {
    let found = sqlx::query_as!(
        StoredFile,
        r#"
        select id, name, bytes, sha256, created_by, created_at, expires_at
        from stored_files
        where id = $1
        and expires_at > $2
        "#,
        id.0,
        now,
    );
    Ok(found.fetch_optional(executor).await?)
}

/// Reads a file part by part. Each part is a statement of its own, so that a slow reader holds no connection.
pub fn stream(pool: PgPool, id: FileId) -> impl Stream<Item = Result<Bytes>> + Send {
    stream::try_unfold(0, move |read: i32| {
        let pool = pool.clone();
        async move { Ok(next(&pool, id, read).await?.map(|content| (content, read + 1))) }
    })
}

/// Returns what follows so many parts; none at the end of the file.
async fn next(pool: &PgPool, id: FileId, read: i32) -> Result<Option<Bytes>> {
    let next = sqlx::query!(
        r#"
        select file.parts, part.content as "content?"
        from stored_files as file
        left join stored_file_parts as part on part.file_id = file.id and part.part = $2 + 1
        where file.id = $1
        "#,
        id.0,
        read,
    );
    match next.fetch_optional(pool).await? {
        Some(found) if found.parts == read => Ok(None),
        Some(found) => found.content.map(Bytes::from).map(Some).ok_or_else(|| Error::internal("a stored file lacks a part")),
        None => Err(Error::NotFound("file")),
    }
}

/// Copies a file to one without a name on the disk, at its beginning.
pub async fn copy_to_temporary(pool: &PgPool, id: FileId) -> Result<File> {
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(Error::internal)?.map_err(disk)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut parts = std::pin::pin!(stream(pool.clone(), id));
    while let Some(part) = parts.try_next().await? {
        file.write_all(&part).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
    Ok(file)
}

fn disk(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::StorageFull,
        _ => Error::internal(error),
    }
}
