//! How records are written into answers: with computed members, reduced to what a client asks for, with records that they refer to.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::Authors;
use crate::app::App;
use crate::error::{Error, Result};
use crate::search::explain::Explanation;
use crate::search::masking::masked;
use crate::search::parse::Shape;
use crate::search::{Collection, Include, document};
use crate::values::aging::AsOf;
use crate::values::personal::Disclosure;

/// Writes records of a collection in one shape.
pub struct RecordWriter<'a> {
    collection: &'static Collection,
    shape: &'a Shape,
    as_of: AsOf<'a>,
    disclosure: Disclosure,
    authors: Authors,
    /// What the records refer to, as JSON, by the name of the member.
    included: HashMap<(&'static str, Uuid), Vec<u8>>,
}

impl<'a> RecordWriter<'a> {
    /// Reads what the records refer to, if a client asks for that: one query for each kind.
    pub async fn open<'r>(
        app: &'a App,
        disclosure: Disclosure,
        collection: &'static Collection,
        shape: &'a Shape,
        mut authors: Authors,
        records: impl Iterator<Item = &'r [u8]> + Clone + Send,
    ) -> Result<Self> {
        let as_of = AsOf { today: shape.today, aging: &app.config.aging_days };
        let mut included = HashMap::new();
        for include in &shape.includes {
            let ids: BTreeSet<Uuid> = records.clone().filter_map(|record| reference(record, include)).collect();
            let ids: Vec<Uuid> = ids.into_iter().collect();
            let mut connection = app.db.read.acquire().await?;
            let loaded = (include.collection.load)(&mut connection, &ids).await?;
            let documents = loaded.iter().map(|found| document::record(&found.source));
            authors.join(Authors::of(app, &mut *connection, documents).await?);
            for found in loaded {
                let mut record = disclosed(document::record(&found.source), include.collection, disclosure)?.into_owned();
                if !shape.includes_deleted && is_deleted(&record) {
                    continue;
                }
                let mut computed = (include.collection.computed)(&record, as_of).map_err(Error::internal)?;
                authors.write(&record, &mut computed);
                record.extend_from_slice(computed.as_bytes());
                record.push(b'}');
                included.insert((include.name, found.id), record);
            }
        }
        Ok(Self { collection, shape, as_of, disclosure, authors, included })
    }

    /// Writes a record; it comes without its closing brace.
    pub fn write(&self, record: &[u8], into: &mut Vec<u8>) -> Result<()> {
        let record = disclosed(record, self.collection, self.disclosure)?;
        let record = &*record;
        let mut computed = (self.collection.computed)(record, self.as_of).map_err(Error::internal)?;
        self.authors.write(record, &mut computed);
        match &self.shape.members {
            None => {
                into.extend_from_slice(record);
                into.extend_from_slice(computed.as_bytes());
            }
            Some(members) => {
                into.push(b'{');
                members.copy(record, into);
                members.copy(computed.as_bytes(), into);
            }
        }
        for include in &self.shape.includes {
            into.extend_from_slice(format!(",\"{}\":", include.name).as_bytes());
            let found = reference(record, include).and_then(|id| self.included.get(&(include.name, id)));
            into.extend_from_slice(found.map_or(&b"null"[..], Vec::as_slice));
        }
        into.push(b'}');
        Ok(())
    }

    /// Writes a record with why it was found.
    pub fn write_found(&self, record: &[u8], explanation: &Explanation, into: &mut Vec<u8>) -> Result<()> {
        self.write(record, into)?;
        let explanation = match self.disclosure {
            Disclosure::Full => serde_json::to_string(explanation),
            Disclosure::Masked => serde_json::to_string(&explanation.masked(self.collection.fields)),
        };
        let explanation = explanation.map_err(Error::internal)?;
        into.pop();
        into.extend_from_slice(format!(r#","_match":{explanation}}}"#).as_bytes());
        Ok(())
    }
}

/// A record, without its closing brace, as far as a client may see it.
pub(crate) fn disclosed<'r>(record: &'r [u8], collection: &Collection, disclosure: Disclosure) -> Result<Cow<'r, [u8]>> {
    match disclosure {
        Disclosure::Full => Ok(Cow::Borrowed(record)),
        Disclosure::Masked => Ok(Cow::Owned(masked(collection.fields, record).map_err(Error::internal)?)),
    }
}

fn reference(record: &[u8], include: &Include) -> Option<Uuid> {
    let (_, id) = document::members(record).find(|(name, _)| *name == include.key.as_bytes())?;
    serde_json::from_slice(id).ok()
}

fn is_deleted(record: &[u8]) -> bool {
    document::members(record).any(|(name, value)| name == b"deletedAt" && value != b"null")
}
