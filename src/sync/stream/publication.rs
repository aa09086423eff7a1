//! What the change stream relies on in the catalogue: the publication, replica identities and triggers.
//!
//! Postgres 18 passes over changes of what is not published; earlier versions end the stream. Without the replica identity or a
//! counter the stream does not tell which other documents follow a change. Whatever was missing for a while, changes were missed.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgPool;

use crate::collections::{self, ANNOUNCED, EDGES, When};

/// Created by the migrations.
pub(super) const NAME: &str = "collections";

/// The publication at one moment.
#[derive(Debug)]
pub struct Publication {
    /// The numbers of it and of its tables in the catalogue: other ones if anything was dropped and added again. Empty if missing.
    pub identity: String,
    /// The one that the stream has followed.
    followed: Option<String>,
    /// What is missing, each in words.
    pub faults: Vec<String>,
}

impl Publication {
    /// Whether the stream has missed nothing that was published.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.followed.as_ref() == Some(&self.identity)
    }
}

/// What the stream needs of a table.
#[derive(Debug)]
struct Needs {
    identity: BTreeSet<&'static str>,
    published: BTreeSet<&'static str>,
    triggers: BTreeSet<String>,
}

/// Reads what there is; cheap.
pub async fn read(pool: &PgPool) -> sqlx::Result<Publication> {
    let needs = needs();
    let tables: Vec<String> = needs.keys().map(|table| (*table).to_owned()).collect();
    let publication = sqlx::query!(
        r#"
        select
          (select pubinsert and pubupdate and pubdelete and pubtruncate from pg_publication where pubname = $1) as is_complete,
          coalesce(publication_identity(), '') as "identity!",
          publication as followed
        from sync_state
        "#,
        NAME,
    )
    .fetch_one(pool)
    .await?;
    let found = sqlx::query!(
        r#"
        select
          name as "table!",
          coalesce(
            (
              select attnames::text[] from pg_publication_tables
              where pubname = $1 and schemaname = relnamespace::regnamespace::text and tablename = relname and rowfilter is null
            ),
            '{}'
          ) as "published!",
          array(
            select attname::text from pg_index join pg_attribute on attrelid = indexrelid
            where indrelid = c.oid and case relreplident when 'i' then indisreplident when 'd' then indisprimary end
          ) as "identity!",
          array(
            select proname::text from pg_trigger join pg_proc on pg_proc.oid = tgfoid
            where tgrelid = c.oid and tgenabled in ('O', 'A') and not tgisinternal
          ) as "triggers!"
        from unnest($2::text[]) as name
        left join pg_class c on c.oid = to_regclass(quote_ident(name))
        "#,
        NAME,
        &tables,
    )
    .fetch_all(pool)
    .await?;
    let mut faults = match publication.is_complete {
        None => vec![format!("the publication {NAME} is missing")],
        Some(false) => vec![format!("the publication {NAME} leaves out inserts, updates, deletes or truncates")],
        Some(true) => Vec::new(),
    };
    for one in found {
        let Some(needs) = needs.get(one.table.as_str()) else { continue };
        let table = &one.table;
        let mut lacks = |needed: Vec<&str>, found: &[String], what: String| {
            let missing: Vec<&str> = needed.into_iter().filter(|name| !found.iter().any(|one| one == name)).collect();
            if !missing.is_empty() {
                faults.push(format!("{what} {}", missing.join(", ")));
            }
        };
        if publication.is_complete.is_some() {
            lacks(needs.published.iter().copied().collect(), &one.published, format!("{table} does not publish"));
        }
        lacks(needs.identity.iter().copied().collect(), &one.identity, format!("the replica identity of {table} lacks"));
        lacks(needs.triggers.iter().map(String::as_str).collect(), &one.triggers, format!("no trigger of {table} calls"));
    }
    Ok(Publication { identity: publication.identity, followed: publication.followed, faults })
}

/// Restores what `make_searchable` made.
///
/// # Errors
/// Also if the owner of the schema may not, or a table is locked for too long.
pub async fn restore(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("select restore_searchable() is not null as restored").fetch_one(pool).await.map(drop)
}

/// What edges and announcements need, by table.
fn needs() -> BTreeMap<&'static str, Needs> {
    let mut needs = BTreeMap::new();
    let least = || Needs {
        identity: BTreeSet::from(["id"]),
        published: BTreeSet::from(["id"]),
        triggers: ["increment_version", "commit_durably"].map(str::to_owned).into(),
    };
    for edge in &EDGES {
        let table = needs.entry(edge.table).or_insert_with(least);
        table.identity.insert(edge.column);
        if let When::Shown(counter) | When::Renamed(counter) = edge.when {
            table.count_by(counter);
        }
        table.published.extend(&table.identity);
        // Its rows are announced with their version.
        table.published.extend(collections::find(edge.table).map(|_| ["version", "deleted_at"]).into_iter().flatten());
    }
    for announced in &ANNOUNCED {
        let table = needs.entry(announced.table).or_insert_with(least);
        table.count_by(announced.counter);
        table.published.extend(&table.identity);
        table.published.insert("version");
    }
    needs
}

impl Needs {
    fn count_by(&mut self, counter: &'static str) {
        self.identity.insert(counter);
        self.triggers.insert(format!("count_{counter}"));
    }
}
