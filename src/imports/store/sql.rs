//! The rows of `imports`.

use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::import::{Blank, Column, Counts, Import, Mode, Options, State, Undone};
use crate::api::Authority;
use crate::error::{Error, Result};
use crate::imports::fields::Target;
use crate::imports::read::value::Forms;
use crate::storage;
use crate::values::ids::{FileId, ImportId, UserId};

/// Inserts an import; what is counted and found is as it is for a new one.
pub async fn insert(connection: &mut PgConnection, import: &Import) -> Result<()> {
    let inserted = sqlx::query!(
        r#"
        insert into imports
          (id, target, mode, key_field, blank, state, authority, file_id, file_name, sha256, sheet, header_row, options, columns,
          created_by, rows)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        "#,
        import.id.0,
        import.target as Target,
        import.mode as Mode,
        import.key,
        import.blank as Blank,
        import.state as State,
        import.authority as Authority,
        import.file_id,
        import.file_name,
        import.sha256,
        import.sheet,
        import.header_row,
        &import.options as _,
        import.columns.as_ref() as _,
        import.created_by,
        import.rows,
    );
    inserted.execute(connection).await?;
    Ok(())
}

/// Writes all that can change of an import that [`lock`] has locked.
pub async fn save(connection: &mut PgConnection, import: &Import) -> Result<()> {
    let saved = sqlx::query!(
        r#"
        update imports
        set
          mode = $2,
          key_field = $3,
          blank = $4,
          state = $5,
          file_id = $6,
          sheet = $7,
          header_row = $8,
          options = $9,
          columns = $10,
          is_staged = $11,
          forms = $12,
          problem = $13,
          validated = $14,
          committed = $15,
          undone = $16,
          job_id = $17,
          approved_by = $18,
          committed_at = $19,
          rows = $20
        where id = $1
        "#,
        import.id.0,
        import.mode as Mode,
        import.key,
        import.blank as Blank,
        import.state as State,
        import.file_id,
        import.sheet,
        import.header_row,
        &import.options as _,
        import.columns.as_ref() as _,
        import.is_staged,
        import.forms.as_ref() as _,
        import.problem,
        &import.validated as _,
        &import.committed as _,
        &import.undone as _,
        import.job_id,
        import.approved_by,
        import.committed_at,
        import.rows,
    );
    saved.execute(connection).await?;
    Ok(())
}

/// Deletes an import that [`lock`] has locked, with its rows and its file.
pub async fn remove(connection: &mut PgConnection, import: &Import) -> Result<()> {
    sqlx::query!("delete from import_rows where import_id = $1", import.id.0).execute(&mut *connection).await?;
    sqlx::query!("delete from imports where id = $1", import.id.0).execute(&mut *connection).await?;
    match import.file_id {
        Some(file) => storage::remove(connection, FileId(file)).await,
        None => Ok(()),
    }
}

/// Finds an import. One whose job has failed or was cancelled is shown as such.
pub async fn find(executor: impl PgExecutor<'_>, id: ImportId) -> Result<Option<Import>> {
    Ok(select(executor, &[id.0]).await?.pop())
}

/// Locks an import until the transaction ends, and reads it.
///
/// # Errors
/// There is no such import.
pub async fn lock(connection: &mut PgConnection, id: ImportId) -> Result<Import> {
    sqlx::query!("select from imports where id = $1 for update", id.0).fetch_optional(&mut *connection).await?;
    find(connection, id).await?.ok_or(Error::NotFound("import"))
}

/// Whose imports are listed.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    Anyone,
    User(UserId),
}

/// Lists imports, the newest first, behind the one with the id `before`.
pub async fn page(executor: impl PgExecutor<'_> + Copy, owner: Owner, before: Option<Uuid>, limit: i64) -> Result<Vec<Import>> {
    let owner = match owner {
        Owner::Anyone => None,
        Owner::User(user) => Some(user.0),
    };
    let ids = sqlx::query_scalar!(
        r#"
        select id
        from imports
        where ($1::uuid is null or created_by = $1)
        and ($2::uuid is null or id < $2)
        order by id desc
        limit $3
        "#,
        owner,
        before,
        limit,
    );
    let ids = ids.fetch_all(executor).await?;
    select(executor, &ids).await
}

/// Finds the newest other import that has committed rows of the same file to the same target.
pub async fn same_file(executor: impl PgExecutor<'_>, import: &Import) -> Result<Option<ImportId>> {
    let same = sqlx::query_scalar!(
        r#"
        select id as "id: ImportId"
        from imports
        where sha256 = $1
        and target = $2
        and id <> $3
        and committed_at is not null
        and state <> 'undone'
        order by id desc
        limit 1
        "#,
        import.sha256,
        import.target as Target,
        import.id.0,
    );
    Ok(same.fetch_optional(executor).await?)
}

/// Counts the other imports of a user on which jobs work or will.
pub async fn running(executor: impl PgExecutor<'_>, user: UserId, besides: ImportId) -> Result<i64> {
    let running = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from imports i
        join jobs j on j.id = i.job_id
        where i.created_by = $1
        and i.id <> $2
        and i.state in ('validating', 'committing', 'undoing')
        and j.state in ('queued', 'running')
        "#,
        user.0,
        besides.0,
    );
    Ok(running.fetch_one(executor).await?)
}

/// Reads imports, the newest first. Ids without a row are absent.
async fn select(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Import>> {
    // A job that ends without success leaves the state as it was: its last transaction is rolled back, or nothing more begins.
    let imports = sqlx::query_as!(
        Import,
        r#"
        select
          i.id as "id: ImportId", i.version, i.target as "target: Target", i.mode as "mode: Mode", i.key_field as key,
          i.blank as "blank: Blank",
          case
            -- Without a job, a transaction is at it.
            when i.job_id is null or i.state not in ('validating', 'committing', 'undoing') then i.state
            when j.state = 'cancelled' then 'cancelled'
            when j.state = 'failed' or j.state is null then 'failed'
            else i.state
          end as "state!: State",
          i.authority as "authority: Authority", i.file_id, i.file_name, i.sha256, i.sheet, i.header_row,
          i.options as "options: Json<Options>", i.columns as "columns: Json<Vec<Column>>", i.is_staged,
          i.forms as "forms: Json<Forms>", i.problem, i.validated as "validated: Json<Counts>",
          i.committed as "committed: Json<Counts>", i.undone as "undone: Json<Undone>", i.job_id, i.approved_by, i.committed_at,
          i.rows, i.created_by, i.created_at, i.updated_at
        from imports i
        left join jobs j on j.id = i.job_id
        where i.id = any($1)
        order by i.id desc
        "#,
        ids,
    );
    Ok(imports.fetch_all(executor).await?)
}
