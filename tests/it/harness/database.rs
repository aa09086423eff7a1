//! A database of its own for every test, copied from one migrated template, with nothing left behind.

use std::future::Future;

use sqlx::{Connection, PgConnection, PgPool};

/// Where the servers are; the suite runs against real ones.
pub fn server_url() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL names the Postgres of the tests; bin/test sets it")
}

fn url_of(server: &str, database: &str) -> String {
    let (base, query) = server.split_once('?').map_or((server, String::new()), |(base, query)| (base, format!("?{query}")));
    let (host, _) = base.rsplit_once('/').expect("the URL ends with /database");
    format!("{host}/{database}{query}")
}

/// A migrated database that is dropped, with its replication slots, when this value is.
pub struct Database {
    /// Its name, also used to keep its slot and indices apart from those of other tests.
    pub name: String,
    /// How to reach it as the owner of the schema.
    pub url: String,
    /// Connections as the owner.
    pub pool: PgPool,
    server: String,
}

impl Database {
    /// Makes a database.
    pub async fn create() -> Self {
        Self::copy(server_url(), template().await).await
    }

    /// Makes a database on a server of the test's own.
    pub async fn create_on(server: String) -> Self {
        let template = make_template(&server).await;
        Self::copy(server, template).await
    }

    async fn copy(server_url: String, template: String) -> Self {
        let name = format!("it_{}", collections::values::ids::new().simple());
        let mut server = PgConnection::connect(&server_url).await.unwrap();
        let create = format!("create database {name} template {template}");
        // Two copies of one template cannot be made at the same moment, and making one takes milliseconds.
        sqlx::query("select pg_advisory_lock(7_463_201)").execute(&mut server).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut server).await.unwrap();
        server.close().await.unwrap();
        let url = url_of(&server_url, &name);
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4).connect_lazy(&url).unwrap();
        Self { name, url, pool, server: server_url }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        finally(async move { remove(&server, &name).await });
    }
}

/// Runs a future to its end although the caller is being dropped, perhaps by a panic.
pub fn finally(work: impl Future<Output = ()> + Send + 'static) {
    let cleaner = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work);
    });
    cleaner.join().ok();
}

async fn remove(server: &str, name: &str) {
    let Ok(mut server) = PgConnection::connect(server).await else { return };
    // A slot holds its database; it is free once its consumer has gone.
    for _ in 0..100 {
        sqlx::query("select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active")
            .bind(name)
            .execute(&mut server)
            .await
            .ok();
        sqlx::query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active")
            .bind(name)
            .execute(&mut server)
            .await
            .ok();
        let drop = format!("drop database if exists {name} with (force)");
        if sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut server).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Makes the template for these migrations once, however many test binaries ask at the same moment.
async fn template() -> String {
    static TEMPLATE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    TEMPLATE.get_or_init(|| async { make_template(&server_url()).await }).await.clone()
}

async fn make_template(server_url: &str) -> String {
    let migrations = &collections::db::MIGRATIONS;
    let fingerprint = migrations
        .iter()
        .flat_map(|migration| migration.checksum.iter())
        .fold(0_u64, |sum, byte| sum.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(*byte)));
    let name = format!("it_template_{fingerprint:016x}");
    let mut server = PgConnection::connect(server_url).await.expect("the Postgres of the tests can be reached");
    sqlx::query("select pg_advisory_lock(7_463_202)").execute(&mut server).await.unwrap();
    let found: Option<bool> = sqlx::query_scalar("select datistemplate from pg_database where datname = $1")
        .bind(&name)
        .fetch_optional(&mut server)
        .await
        .unwrap();
    if found != Some(true) {
        for statement in [format!("drop database if exists {name} with (force)"), format!("create database {name}")] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut server).await.unwrap();
        }
        let mut connection = PgConnection::connect(&url_of(server_url, &name)).await.unwrap();
        migrations.run_direct(None, &mut connection, false).await.unwrap();
        connection.close().await.unwrap();
        let seal = format!("alter database {name} with is_template true");
        sqlx::query(sqlx::AssertSqlSafe(seal)).execute(&mut server).await.unwrap();
        drop_older_templates(&mut server, &name).await;
    }
    server.close().await.unwrap();
    name
}

/// Another checkout with other migrations may be using a younger one at this moment.
async fn drop_older_templates(server: &mut PgConnection, current: &str) {
    let older: Vec<String> = sqlx::query_scalar(
        r"
        select datname::text
        from pg_database
        where datname like 'it\_template\_%'
        and datname <> $1
        and (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification < now() - interval '1 day'
        ",
    )
    .bind(current)
    .fetch_all(&mut *server)
    .await
    .unwrap();
    for name in older {
        for statement in [format!("alter database {name} with is_template false"), format!("drop database {name}")] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *server).await.ok();
        }
    }
}
