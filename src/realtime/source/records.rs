//! Events of records: created, updated, deleted, and money that came.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use sqlx::PgConnection;
use uuid::Uuid;

use super::versions;
use crate::api::{Authors, disclosed};
use crate::app::App;
use crate::collections;
use crate::error::{Error, Result};
use crate::feed::{Announcement, Operation};
use crate::realtime::event::{Event, EventId};
use crate::realtime::events::{self, OfCollection};
use crate::realtime::topic::{Topic, TopicKind};
use crate::search::{Collection, document, rows};
use crate::values::aging::AsOf;
use crate::values::ids::{AccountId, CustomerId};
use crate::values::personal::Disclosure;

/// The topic of each whole collection.
pub(super) const TOPICS: [(&str, Topic); 4] = [
    ("customers", Topic::Customers),
    ("accounts", Topic::Accounts),
    ("payments", Topic::Payments),
    ("activities", Topic::Activities),
];

/// Whether an announcement may become an event of topics of these kinds.
pub(super) fn concerns(announcement: &Announcement, interest: &BTreeSet<TopicKind>) -> bool {
    let events = OfCollection::find(&announcement.collection);
    events.is_some_and(|events| events.created.topics.iter().any(|kind| interest.contains(kind)))
}

/// Reads the announced records and writes their events.
pub(super) async fn events(app: &App, snapshot: &mut PgConnection, announced: &[(EventId, &Announcement)]) -> Result<Vec<Event>> {
    let mut told = Vec::new();
    for (name, topic) in TOPICS {
        let (Some(collection), Some(events)) = (collections::find(name), OfCollection::find(name)) else { continue };
        let of_collection: Vec<_> = announced.iter().filter(|(_, one)| one.collection == name).collect();
        let ids: Vec<Uuid> = of_collection.iter().map(|(_, one)| one.id).collect();
        if ids.is_empty() {
            continue;
        }
        let documents = rows::read(snapshot, collection, &ids).await?.documents;
        let records: HashMap<Uuid, &[u8]> = documents.iter().map(|(id, source)| (*id, document::record(source))).collect();
        let authors = Authors::of(app, &mut *snapshot, records.values().copied()).await?;
        let received = if name == "payments" { received(snapshot, &of_collection).await? } else { HashSet::new() };
        let writer = Writer { app, collection, authors };
        for (id, one) in of_collection {
            let record = records.get(&one.id).copied();
            let topics = topics(topic, one.id, record);
            let is_deleted = record.is_none_or(|record| member::<String>(record, "deletedAt").is_some());
            let kind = events.by(one.operation);
            match (one.operation, record) {
                (Operation::Deleted, _) => {
                    let data = serde_json::json!({ "id": one.id }).to_string();
                    told.push(Event::new(kind, Some(*id), topics, data));
                }
                (_, Some(record)) if !is_deleted => {
                    let [full, masked] =
                        [Disclosure::Full, Disclosure::Masked].map(|disclosure| writer.write(record, disclosure));
                    let (full, masked) = (full?, masked?);
                    told.push(Event::new(kind, Some(*id), topics.clone(), full.clone()).masked(masked.clone()));
                    if received.contains(&one.id) {
                        let id = EventId { place: id.place + 1, ..*id };
                        told.push(Event::new(&events::RECEIVED, Some(id), topics, full).masked(masked));
                    }
                }
                // It was deleted meanwhile, which a later announcement says.
                _ => {}
            }
        }
    }
    Ok(told)
}

/// The collection first, and then the record, and what it belongs to.
fn topics(of_collection: Topic, id: Uuid, record: Option<&[u8]>) -> Vec<Topic> {
    let named = |name| record.and_then(|record| member::<Uuid>(record, name));
    let (account, customer) = match of_collection {
        Topic::Customers => (None, Some(id)),
        Topic::Accounts => (Some(id), named("customerId")),
        _ => (named("accountId"), named("customerId")),
    };
    let account = account.map(|id| Topic::Account(AccountId(id)));
    let customer = customer.map(|id| Topic::Customer(CustomerId(id)));
    [of_collection].into_iter().chain(account).chain(customer).collect()
}

fn member<T: serde::de::DeserializeOwned>(record: &[u8], name: &str) -> Option<T> {
    let (_, value) = document::members(record).find(|(found, _)| *found == name.as_bytes())?;
    serde_json::from_slice(value).ok()
}

/// Writes records as their own addresses show them.
struct Writer<'a> {
    app: &'a App,
    collection: &'static Collection,
    authors: Authors,
}

impl Writer<'_> {
    fn write(&self, record: &[u8], disclosure: Disclosure) -> Result<Bytes> {
        let config = &self.app.config;
        let as_of = AsOf { today: config.default_time_zone.day_of(self.app.clock.now()), aging: &config.aging_days };
        let mut computed = (self.collection.computed)(record, as_of).map_err(Error::internal)?;
        self.authors.write(record, &mut computed);
        let mut shown = disclosed(record, self.collection, disclosure)?.into_owned();
        shown.extend_from_slice(computed.as_bytes());
        shown.push(b'}');
        Ok(shown.into())
    }
}

/// Those of the payments whose money came with one of the announced changes, whatever has followed.
async fn received(snapshot: &mut PgConnection, announced: &[&(EventId, &Announcement)]) -> Result<HashSet<Uuid>> {
    let (ids, first_versions, versions) = versions(announced);
    let received = sqlx::query_scalar!(
        r#"
        select p.id
        from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as announced (id, first_version, version)
        join payments p on p.id = announced.id
        where p.settled_version between announced.first_version and announced.version
        "#,
        &ids,
        &first_versions as &[Option<i64>],
        &versions as &[Option<i64>],
    );
    Ok(received.fetch_all(snapshot).await?.into_iter().collect())
}
