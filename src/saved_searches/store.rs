//! Saved searches in SQL.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::saved_search::{SavedSearch, Visibility};
use crate::auth::Caller;
use crate::values::ids::SavedSearchId;

/// Makes the writes to one owner's searches wait for each other until the transaction ends: a new default replaces the earlier one,
/// and the limit counts all.
pub(super) async fn lock_owner(connection: &mut PgConnection, owner: Uuid) -> sqlx::Result<()> {
    let lock = sqlx::query!("select pg_advisory_xact_lock(hashtextextended('saved_searches ' || $1, 0))", owner.to_string());
    lock.execute(connection).await.map(drop)
}

pub(super) async fn find(executor: impl PgExecutor<'_>, id: SavedSearchId) -> sqlx::Result<Option<SavedSearch>> {
    Ok(select(executor, &[id.0]).await?.pop())
}

/// Reads searches with what they show of their owners, oldest first. Ids without a row are absent.
pub(super) async fn select(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<SavedSearch>> {
    let searches = sqlx::query_as!(
        SavedSearch,
        r#"
        select
          s.id, s.version, s.name, s.collection, s.query, s.sort, s.columns, s.visibility as "visibility: Visibility",
          s.is_default, s.is_pinned, s.owner_id, coalesce(u.name, u.username) as "owner_name!", u.role as owner_role,
          s.created_at, s.updated_at
        from saved_searches s
        join users u on u.id = s.owner_id
        where s.id = any($1)
        order by s.id
        "#,
        ids,
    );
    searches.fetch_all(executor).await
}

/// Lists what a caller may know of, oldest first, behind the one with the id `after`.
pub(super) async fn page(
    executor: impl PgExecutor<'_>,
    caller: &Caller,
    collection: Option<&str>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    let page = sqlx::query_scalar!(
        r#"
        select s.id
        from saved_searches s
        join users u on u.id = s.owner_id
        where (s.owner_id = $1 or s.visibility = 'global' or (s.visibility = 'team' and u.role = $2))
        and ($3::text is null or s.collection = $3)
        and ($4::uuid is null or s.id > $4)
        order by s.id
        limit $5
        "#,
        caller.id.0,
        caller.role.as_str(),
        collection,
        after,
        limit,
    );
    page.fetch_all(executor).await
}

pub(super) async fn count_of(connection: &mut PgConnection, owner: Uuid) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from saved_searches where owner_id = $1"#, owner);
    count.fetch_one(connection).await
}

/// Inserts a search; its owner is locked.
pub(super) async fn insert(connection: &mut PgConnection, search: &SavedSearch) -> sqlx::Result<()> {
    replace_default(&mut *connection, search).await?;
    let inserted = sqlx::query!(
        r#"
        insert into saved_searches
          (id, owner_id, name, collection, query, sort, columns, visibility, is_default, is_pinned)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        "#,
        search.id,
        search.owner_id,
        search.name,
        search.collection,
        search.query,
        search.sort,
        &search.columns,
        search.visibility.as_str(),
        search.is_default,
        search.is_pinned,
    );
    inserted.execute(connection).await.map(drop)
}

/// Writes what can change of a search; its owner is locked.
pub(super) async fn update(connection: &mut PgConnection, search: &SavedSearch) -> sqlx::Result<()> {
    replace_default(&mut *connection, search).await?;
    let updated = sqlx::query!(
        r#"
        update saved_searches
        set name = $2, query = $3, sort = $4, columns = $5, visibility = $6, is_default = $7, is_pinned = $8
        where id = $1
        "#,
        search.id,
        search.name,
        search.query,
        search.sort,
        &search.columns,
        search.visibility.as_str(),
        search.is_default,
        search.is_pinned,
    );
    updated.execute(connection).await.map(drop)
}

/// Makes room for a default.
async fn replace_default(connection: &mut PgConnection, search: &SavedSearch) -> sqlx::Result<()> {
    if !search.is_default {
        return Ok(());
    }
    let replaced = sqlx::query!(
        r#"
        update saved_searches
        set is_default = false
        where owner_id = $1
        and collection = $2
        and is_default
        and id <> $3
        "#,
        search.owner_id,
        search.collection,
        search.id,
    );
    replaced.execute(connection).await.map(drop)
}

pub(super) async fn remove(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from saved_searches where id = $1", id).execute(connection).await.map(drop)
}
