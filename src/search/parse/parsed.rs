//! What reading a list needs to know, and what it has read.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};

use crate::search::collection::Include;
use crate::search::document::Projection;
use crate::search::query::Query;
use crate::values::aging::Aging;
use crate::values::money::Currency;
use crate::values::personal::Disclosure;
use crate::values::zone::Zone;

/// What the settings and the address say about reading parameters.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether a page beyond the limit is refused; the older addresses cut it down.
    pub refuse_large_pages: bool,
    /// Region of phone numbers without a country code.
    pub region: &'a str,
    /// Currency of amounts if no filter names one.
    pub currency: Currency,
    /// Zone of days if the client names none.
    pub zone: Zone,
    pub aging: &'a Aging,
    /// Size of a page if none is named.
    pub page_default: u32,
    /// Largest page.
    pub page_limit: u32,
    /// Hits that are counted exactly and reached by page number.
    pub total_limit: u32,
    pub now: DateTime<Utc>,
    /// What the client may see, and so may compare with.
    pub disclosure: Disclosure,
}

impl Rules<'_> {
    /// Reads the size of a page.
    pub fn page_size(&self, value: &str) -> Result<u32, String> {
        let most = self.page_limit;
        match value.parse::<u32>() {
            Ok(size) if (1..=most).contains(&size) => Ok(size),
            Ok(size) if size > most && !self.refuse_large_pages => Ok(most),
            _ => Err(format!("takes a whole number from 1 to {most}")),
        }
    }
}

pub struct ParsedList {
    /// Its page is by number; a cursor is not read yet.
    pub query: Query,
    /// The page's number, unless there is a cursor.
    pub page: Option<u32>,
    /// As it was sent.
    pub cursor: Option<String>,
    /// What an answer without a cursor shows.
    pub view: View,
    /// What the filter hash covers, in one form for addresses and bodies.
    pub hashed: Vec<(String, String)>,
    pub shape: Shape,
    /// What its conditions are about: names of fields, each once.
    pub about: BTreeSet<String>,
    /// The text of the search box, as it was typed.
    pub typed: String,
}

/// How a client wants records to be shown.
pub struct Shape {
    /// All members, if the client names none.
    pub members: Option<Projection>,
    pub includes: Vec<&'static Include>,
    pub includes_deleted: bool,
    /// Whether each says why the phrase has found it.
    pub highlight: bool,
    /// By which computed members are shown.
    pub today: NaiveDate,
}

/// What the pages of a list show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Each what there is when it is asked for.
    #[default]
    Live,
    /// All what there was at the first.
    Frozen,
}
