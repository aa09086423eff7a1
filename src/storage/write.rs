//! Files are stored whole, or grow part by part.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::values::ids::{FileId, UserId};

/// Bytes of a part; a row of the table takes no more.
const PART_BYTES: usize = 1 << 20;

/// What a file has besides its content.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Up to 200 characters.
    pub name: &'a str,
    pub by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    /// It is removed within a day after.
    pub expires_at: DateTime<Utc>,
}

/// Stores a file from its beginning to its end, with its digest.
pub async fn store(connection: &mut PgConnection, file: File, new: NewFile<'_>) -> Result<FileId> {
    let id = create(&mut *connection, new).await?;
    fill(connection, id, file).await?;
    Ok(id)
}

/// Gives an empty file the content of another, from its beginning to its end, with its digest.
pub async fn fill(connection: &mut PgConnection, id: FileId, mut file: File) -> Result<()> {
    file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
    let (mut file, mut digest) = (tokio::fs::File::from_std(file), Sha256::new());
    loop {
        let mut part = Vec::with_capacity(PART_BYTES);
        (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await.map_err(Error::internal)?;
        if part.is_empty() {
            break;
        }
        digest.update(&part);
        append(&mut *connection, id, &part).await?;
    }
    let sha256 = digest.finalize();
    sqlx::query!("update stored_files set sha256 = $2 where id = $1", id.0, &sha256[..]).execute(connection).await?;
    Ok(())
}

/// Creates an empty file, which [`append`] lets grow.
pub async fn create(connection: &mut PgConnection, new: NewFile<'_>) -> Result<FileId> {
    let id = FileId::new();
    let inserted = sqlx::query!(
        "insert into stored_files (id, name, created_by, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        id.0,
        new.name,
        new.by.map(Uuid::from),
        new.created_at,
        new.expires_at,
    );
    inserted.execute(connection).await?;
    Ok(id)
}

/// Adds to the end of a file. Nothing is added to a file that is gone.
pub async fn append(connection: &mut PgConnection, id: FileId, content: &[u8]) -> Result<()> {
    for part in content.chunks(PART_BYTES) {
        let added = sqlx::query!(
            r#"
            with grown as (
              update stored_files
              set
                bytes = bytes + octet_length($2::bytea),
                parts = parts + 1
              where id = $1
              returning parts
            )
            insert into stored_file_parts (file_id, part, content)
            select $1, parts, $2
            from grown
            "#,
            id.0,
            part,
        );
        if added.execute(&mut *connection).await?.rows_affected() == 0 {
            return Err(Error::NotFound("file"));
        }
    }
    Ok(())
}

/// Empties a file, which can grow again.
pub async fn clear(connection: &mut PgConnection, id: FileId) -> Result<()> {
    sqlx::query!("delete from stored_file_parts where file_id = $1", id.0).execute(&mut *connection).await?;
    let cleared = sqlx::query!("update stored_files set bytes = 0, parts = 0, sha256 = null where id = $1", id.0);
    cleared.execute(connection).await?;
    Ok(())
}

/// Removes a file, if it is there.
pub async fn remove(connection: &mut PgConnection, id: FileId) -> Result<()> {
    sqlx::query!("delete from stored_files where id = $1", id.0).execute(connection).await?;
    Ok(())
}

/// Removes up to so many files that have expired; answers how many.
pub(super) async fn remove_expired(connection: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        r#"
        delete from stored_files
        where id in (
          select id
          from stored_files
          where expires_at <= $1
          order by expires_at
          limit $2
          for update skip locked
        )
        "#,
        now,
        limit,
    );
    Ok(removed.execute(connection).await?.rows_affected())
}
