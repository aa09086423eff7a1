//! Reads what is searched for, and in which collections.

use serde_json::json;

use crate::api::{Request, paging};
use crate::auth::Caller;
use crate::collections::ALL;
use crate::error::{Error, Result, clipped};
use crate::operation::{Operation, Takes};
use crate::search::parse::{self, ParsedList, Qualifier, Shape};
use crate::search::query::Query;
use crate::search::{Collection, Phrase};
use crate::values::text;

/// Hits of a group if the client names no number, and most hits of one: a longer list is the collection's own.
const HITS_DEFAULT: u32 = 5;
const HITS_LIMIT: u32 = 50;

/// Parameters that each collection's list reads as its own.
const SHARED: [&str; 4] = ["tz", "includeDeleted", "syncToken", "limit"];
const KNOWN: &str = "q, types, limit, tz, includeDeleted, syncToken";

pub(super) struct Wanted {
    /// As the client sent it.
    pub(super) typed: String,
    pub(super) groups: Vec<Group>,
    /// Whether deleted records are among them.
    pub(super) includes_deleted: bool,
    /// What to type instead, if the text asks for nothing.
    pub(super) hint: Option<&'static str>,
}

pub(super) struct Group {
    pub(super) collection: &'static Collection,
    pub(super) query: Query,
    pub(super) shape: Shape,
}

impl Takes for Wanted {
    fn describe(operation: &mut Operation<'_>) {
        let names = ALL.map(|collection| collection.name);
        let types = json!({ "type": "array", "items": { "type": "string", "enum": names }, "minItems": 1 });
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": HITS_LIMIT, "default": HITS_DEFAULT });
        operation.query("q", "What a person types.", json!({ "type": "string", "maxLength": 200, "examples": ["renee 2671"] }));
        operation.query("types", "Which collections to ask; all if absent.", types);
        operation.query("limit", "Hits of each collection.", limit);
        operation.query("tz", "Where days begin.", json!({ "type": "string", "examples": ["Europe/Berlin"] }));
        let deleted = json!({ "type": "boolean", "default": false });
        operation.query("includeDeleted", "Whether deleted records are shown; for managers.", deleted);
        operation.headers.insert("X-Read-Source");
    }
}

impl Wanted {
    pub(super) fn read(caller: &Caller, request: &Request) -> Result<Self> {
        let (mut typed, mut types, mut shared) = (String::new(), None, vec![("limit".to_owned(), HITS_DEFAULT.to_string())]);
        for (name, value) in request.parameters() {
            match &*name {
                "q" | "search" => typed = value.into_owned(),
                "types" => types = Some(value.into_owned()),
                "limit" if value.parse::<u32>().is_ok_and(|hits| hits > HITS_LIMIT) => {
                    return Err(refused(format!("limit: takes a whole number from 1 to {HITS_LIMIT}")));
                }
                known if SHARED.contains(&known) => shared.push((name.into_owned(), value.into_owned())),
                other => return Err(refused(format!("{}: is no parameter of this search; known are {KNOWN}", clipped(other)))),
            }
        }
        let readable: Vec<&'static Collection> = ALL.into_iter().filter(|collection| caller.reads(collection)).collect();
        let mut collections = chosen(&readable, types.as_deref())?;

        let rules = paging::rules(request);
        let qualified: Vec<_> = collections.iter().map(|collection| parse::qualifiers(collection, &typed, &rules)).collect();
        // A condition that some collection takes rules out those that do not know it.
        let takes_all = |own: &[Qualifier]| {
            qualified.iter().flatten().all(|condition| own.iter().any(|known| known.typed == condition.typed))
        };
        let mut is_kept = qualified.iter().map(|own| takes_all(own));
        collections.retain(|_| is_kept.next().unwrap_or_default());

        let has_conditions = qualified.iter().any(|own| !own.is_empty());
        let mut groups = Vec::new();
        for collection in collections {
            let parameters = shared.iter().cloned().chain([("q".to_owned(), typed.clone())]).collect();
            let ParsedList { query, shape, .. } = parse::parse(collection, parameters, &rules)?;
            groups.push(Group { collection, query, shape });
        }
        let includes_deleted = groups.iter().any(|group| group.shape.includes_deleted);
        let phrase = groups.first().and_then(|group| group.query.phrase.as_ref());
        let hint = if has_conditions { None } else { hint(phrase) };
        if hint.is_some() {
            groups.clear();
        }
        Ok(Self { typed, groups, includes_deleted, hint })
    }
}

/// The readable collections that `types` names, all if it is absent.
fn chosen(readable: &[&'static Collection], types: Option<&str>) -> Result<Vec<&'static Collection>> {
    let Some(types) = types else { return Ok(readable.to_vec()) };
    let find = |name: &str| {
        let names: Vec<&str> = readable.iter().map(|collection| collection.name).collect();
        let found = readable.iter().copied().find(|collection| collection.name == name.trim());
        found.ok_or_else(|| refused(format!("types: takes {}, with commas between them", names.join(", "))))
    };
    let mut chosen = Vec::new();
    for collection in types.split(',').map(find) {
        let collection = collection?;
        if !chosen.iter().any(|known: &&Collection| known.name == collection.name) {
            chosen.push(collection);
        }
    }
    Ok(chosen)
}

/// Nearly everything begins with a given letter, so one is not searched for. In other scripts one may be a name.
fn hint(phrase: Option<&Phrase>) -> Option<&'static str> {
    let Some(phrase) = phrase else { return Some("type a name, a number, an amount or a day") };
    let letters: String = phrase.words.iter().map(|word| word.folded.as_str()).collect();
    let is_short = letters.len() == 1 && text::squash(&letters).bytes().all(|letter| letter.is_ascii_alphanumeric());
    is_short.then_some("type at least two letters")
}

fn refused(detail: String) -> Error {
    Error::malformed("bad_parameter", detail)
}
