//! A database, a replication slot and indices for one run, removed when it ends.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use collections::collections::ALL;
use collections::config;
use collections::db;
use collections::search::{Elastic, high_water_mark, index};
use collections::values::ids;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

use super::http::client::Endpoint;

pub struct Sandbox {
    /// Name of the database and of the slot, prefix of the indices.
    pub name: String,
    /// Connects as the owner of the schema.
    pub url: SecretString,
    pub pool: PgPool,
    pub elastic: Elastic,
    /// For indices that the server does not know.
    pub scratch: Elastic,
    /// For requests sent straight to Elasticsearch.
    pub raw: Endpoint,
    server: SecretString,
}

impl Sandbox {
    /// Creates and migrates the database, as the user of `DATABASE_OWNER_URL` or else `DATABASE_URL`.
    pub async fn create(database: &config::Database, search: &config::Search) -> anyhow::Result<Self> {
        let name = format!("collections_bench_{}", ids::new().simple());
        let raw = endpoint(search.url.as_ref().context("the benchmark needs ELASTICSEARCH_URL")?)?;
        let open = |prefix: String| {
            Elastic::open(&config::Search { index_prefix: prefix, ..search.clone() })?
                .context("the benchmark needs ELASTICSEARCH_URL")
        };
        let (elastic, scratch) = (open(name.clone())?, open(format!("{name}_scratch"))?);

        let server = database.owner_url.clone().unwrap_or_else(|| database.url.clone());
        let mut connection = PgConnection::connect(server.expose_secret()).await.context("cannot connect to Postgres")?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        let url = PgConnectOptions::from_str(server.expose_secret())?.database(&name).to_url_lossy().to_string();
        let pool = PgPoolOptions::new().max_connections(12).connect_lazy(&url)?;
        let sandbox = Self { name, url: url.into(), pool, elastic, scratch, raw, server };
        if let Err(error) = db::MIGRATIONS.run(&sandbox.pool).await {
            sandbox.remove().await?;
            return Err(error.into());
        }
        Ok(sandbox)
    }

    /// Removes everything. The slot must be inactive.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.pool.close().await;
        for elastic in [&self.elastic, &self.scratch] {
            for collection in ALL {
                for generation in index::generations(elastic, collection).await? {
                    index::remove(elastic, &generation.index).await?;
                }
                index::remove(elastic, &format!("_index_template/{}", index::alias(elastic, collection))).await?;
            }
            index::remove(elastic, &high_water_mark::index(elastic)).await?;
        }
        let mut connection = PgConnection::connect(self.server.expose_secret()).await?;
        sqlx::query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1")
            .bind(&self.name)
            .execute(&mut connection)
            .await?;
        let drop = format!("drop database if exists {} with (force)", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await?;
        Ok(())
    }
}

/// Parses the address of Elasticsearch; the benchmark's client speaks plain HTTP only.
fn endpoint(url: &SecretString) -> anyhow::Result<Endpoint> {
    let url: hyper::Uri = url.expose_secret().parse().context("ELASTICSEARCH_URL is not a URL")?;
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        bail!("the benchmark needs an ELASTICSEARCH_URL that begins with http://")
    };
    let credentials = authority.as_str().rsplit_once('@').map(|(credentials, _)| credentials);
    Ok(Endpoint {
        address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(9200)),
        authorization: credentials.map(|credentials| format!("Basic {}", BASE64_STANDARD.encode(credentials))),
    })
}
