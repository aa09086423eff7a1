//! Who created and last changed records, by name.
//!
//! Documents hold the ids alone: a user who is renamed has touched any number of records, and none of them has to be written again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use schemars::Schema;
use serde_json::json;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, Result};
use crate::search::{Collection, document};

/// How long a server remembers a name: the longest that answers show the old one.
const CACHE_LIFE: Duration = Duration::from_secs(5);

/// The names of users, as JSON.
#[derive(Default)]
pub struct Authors(HashMap<Uuid, Arc<str>>);

impl Authors {
    /// Reads the names of those who wrote the records: one query for what this server does not remember.
    pub async fn of<'r>(app: &App, db: impl PgExecutor<'_>, records: impl Iterator<Item = &'r [u8]>) -> Result<Self> {
        let ids: BTreeSet<Uuid> = records.flat_map(authors).flatten().collect();
        let known = ids.iter().filter_map(|id| Some((*id, app.cache.get::<Arc<str>>(&cache_key(*id))?)));
        let mut names: HashMap<Uuid, Arc<str>> = known.collect();
        let unknown: Vec<Uuid> = ids.into_iter().filter(|id| !names.contains_key(id)).collect();
        if unknown.is_empty() {
            return Ok(Self(names));
        }
        let found = sqlx::query!(
            r#"
            select id, coalesce(name, username) as "name!"
            from users
            where id = any($1)
            "#,
            &unknown,
        );
        for user in found.fetch_all(db).await? {
            let name: Arc<str> = serde_json::to_string(&user.name).map_err(Error::internal)?.into();
            let read = async { Ok::<_, Error>(name) };
            names.insert(user.id, app.cache.get_or_read(cache_key(user.id), CACHE_LIFE, read).await?);
        }
        Ok(Self(names))
    }

    /// Adds the names that other records need.
    pub(super) fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Writes the names of a record's authors, each behind a comma.
    pub fn write(&self, record: &[u8], into: &mut String) {
        for ((_, name), author) in Collection::AUTHORS.iter().zip(authors(record)) {
            let author = author.and_then(|id| self.0.get(&id));
            into.extend([",\"", name, "\":", author.map_or("null", |name| &**name)]);
        }
    }
}

/// Adds to the schema of a record what [`Authors::write`] adds to the record.
pub fn show_authors(schema: &mut Schema) {
    let schema = schema.ensure_object();
    for (id, name) in Collection::AUTHORS {
        schema["properties"][name] = json!({ "type": ["string", "null"], "description": format!("The name of `{id}`.") });
        schema["required"].as_array_mut().into_iter().for_each(|required| required.push(name.into()));
    }
}

fn cache_key(user: Uuid) -> String {
    format!("user-name:{user}")
}

fn authors(record: &[u8]) -> [Option<Uuid>; 2] {
    Collection::AUTHORS.map(|(id, _)| document::last_member(record, id).ok().flatten())
}
