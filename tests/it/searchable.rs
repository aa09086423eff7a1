//! The catalogue has what every fan-out edge needs: a table without its call of `make_searchable` fails here.

use std::collections::BTreeSet;

use collections::collections::{ANNOUNCED, EDGES, Edge, When, find};
use sqlx::PgPool;

use crate::harness::database::Database;

/// Lists what an edge lacks in the catalogue.
async fn missing(pool: &PgPool, edge: &Edge) -> Vec<String> {
    let (published, identity, triggers, grants): (Vec<String>, Vec<String>, Vec<String>, Vec<String>) = sqlx::query_as(
        r"
        select
          coalesce((select attnames::text[] from pg_publication_tables where pubname = 'collections' and tablename = relname), '{}'),
          array(
            select attname::text from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey)
            where indrelid = pg_class.oid and case relreplident when 'i' then indisreplident else indisprimary end
          ),
          array(
            select proname::text from pg_trigger join pg_proc on pg_proc.oid = tgfoid
            where tgrelid = pg_class.oid and tgenabled = 'O' and not tgisinternal
          ),
          array(
            select role || ' ' || privilege
            from (values
              ('collections_server', 'select'), ('collections_server', 'insert'), ('collections_server', 'update'),
              ('collections_sync', 'select')
            ) as needed (role, privilege)
            where has_any_column_privilege(role, pg_class.oid, privilege)
          )
        from pg_class
        where oid = $1::regclass
        ",
    )
    .bind(edge.table)
    .fetch_one(pool)
    .await
    .unwrap();
    let mut needed = vec![("identity", &identity, "id"), ("identity", &identity, edge.column)];
    needed.extend(["id", edge.column].map(|column| ("publication", &published, column)));
    // Its rows are announced.
    let announced = find(edge.table).map(|_| ["version", "deleted_at"]).into_iter().flatten();
    needed.extend(announced.map(|column| ("publication", &published, column)));
    needed.extend(["increment_version", "commit_durably"].map(|trigger| ("trigger", &triggers, trigger)));
    let grant =
        ["collections_server select", "collections_server insert", "collections_server update", "collections_sync select"];
    needed.extend(grant.map(|grant| ("grant", &grants, grant)));
    let counting;
    if let When::Shown(counter) | When::Renamed(counter) = edge.when {
        counting = format!("count_{counter}");
        needed.push(("identity", &identity, counter));
        needed.push(("publication", &published, counter));
        needed.push(("trigger", &triggers, &counting));
    }
    needed.retain(|(_, found, name)| !found.iter().any(|one| one == name));
    needed.dedup();
    needed.into_iter().map(|(kind, _, name)| format!("{kind} of {}: {name}", edge.table)).collect()
}

#[tokio::test]
async fn every_edge_has_what_it_needs_in_the_catalogue() {
    let database = Database::create().await;
    for edge in &EDGES {
        assert_eq!(missing(&database.pool, edge).await, Vec::<String>::new());
    }
    let published: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_publication_tables where pubname = 'collections'")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let followed: BTreeSet<&str> = EDGES.iter().map(|edge| edge.table).chain(ANNOUNCED.iter().map(|one| one.table)).collect();
    assert_eq!(published.iter().map(String::as_str).collect::<BTreeSet<_>>(), followed, "a published table is followed");
}

#[tokio::test]
async fn a_table_that_was_not_made_searchable_is_found() {
    let database = Database::create().await;
    let run = async |sql: &'static str| sqlx::raw_sql(sql).execute(&database.pool).await.unwrap();
    run("create table notes (
           id uuid primary key,
           version bigint not null default 1,
           customer_id uuid not null references customers,
           title text,
           body text,
           updated_at timestamptz not null default now()
         )")
    .await;
    let collection = find("customers").unwrap();
    let edge = |when| Edge { table: "notes", column: "customer_id", when, collection, children: None };
    let summary = edge(When::Shown("summary_changes"));
    let expected = [
        "identity of notes: customer_id",
        "publication of notes: id",
        "publication of notes: customer_id",
        "trigger of notes: increment_version",
        "trigger of notes: commit_durably",
        "grant of notes: collections_server select",
        "grant of notes: collections_server insert",
        "grant of notes: collections_server update",
        "grant of notes: collections_sync select",
        "identity of notes: summary_changes",
        "publication of notes: summary_changes",
        "trigger of notes: count_summary_changes",
    ];
    assert_eq!(missing(&database.pool, &summary).await, expected);

    run("select make_searchable('notes', parents => '{customer_id}', summarized => '{title}')").await;
    assert_eq!(missing(&database.pool, &summary).await, Vec::<String>::new());
    let embedded = edge(When::Renamed("embedded_changes"));
    assert_eq!(missing(&database.pool, &embedded).await.len(), 3, "identity, publication and trigger of the other counter");

    // A later migration extends the lists.
    run("select make_searchable('notes', parents => '{customer_id}', embedded => '{title}', summarized => '{title, body}')")
        .await;
    for edge in [&summary, &embedded] {
        assert_eq!(missing(&database.pool, edge).await, Vec::<String>::new());
    }
    run("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Ann');
         insert into notes (id, customer_id) values
           ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001');
         update notes set body = 'called';
         update notes set title = 'first'")
    .await;
    let counted: (i64, i32, i32) =
        sqlx::query_as("select version, embedded_changes, summary_changes from notes").fetch_one(&database.pool).await.unwrap();
    assert_eq!(counted, (3, 1, 2));
}
