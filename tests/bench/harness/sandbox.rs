//! The sandbox: a database, a slot and indices that nobody else uses, gone when the benchmark ends.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use collections::collections::ALL;
use collections::config;
use collections::search::{Elastic, horizon, index};
use collections::{db, ids};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

use super::http::client::Endpoint;

/// A database, a slot and indices of its own.
pub struct Sandbox {
    /// Name of the database and of the slot, and what the indices' names begin with.
    pub name: String,
    /// The database, as the owner of its schema.
    pub url: SecretString,
    /// Connections as the owner.
    pub pool: PgPool,
    /// The server's indices.
    pub elastic: Elastic,
    /// Indices beside them that the server does not know of.
    pub scratch: Elastic,
    /// Elasticsearch for requests that go straight to it.
    pub raw: Endpoint,
    server: SecretString,
}

impl Sandbox {
    /// Creates and migrates the database. The user of `DATABASE_URL` has to be allowed to.
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

    /// Removes everything again. Nothing may still use the slot.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.pool.close().await;
        for elastic in [&self.elastic, &self.scratch] {
            for collection in ALL {
                for made in index::generations(elastic, collection).await? {
                    index::remove(elastic, &made.index).await?;
                }
                index::remove(elastic, &format!("_index_template/{}", index::alias(elastic, collection))).await?;
            }
            index::remove(elastic, &horizon::index(elastic)).await?;
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

/// The address of Elasticsearch for the benchmark's own client, which speaks plain HTTP.
fn endpoint(url: &SecretString) -> anyhow::Result<Endpoint> {
    let url: hyper::Uri = url.expose_secret().parse().context("ELASTICSEARCH_URL is no address")?;
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        bail!("the benchmark needs an ELASTICSEARCH_URL that begins with http://")
    };
    let credentials = authority.as_str().rsplit_once('@').map(|(credentials, _)| credentials);
    Ok(Endpoint {
        address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(9200)),
        authorization: credentials.map(|credentials| format!("Basic {}", BASE64_STANDARD.encode(credentials))),
    })
}
