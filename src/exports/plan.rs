//! What an export is to have: the conditions of a list, and the layout of its file.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::table::{Format, Layout, Mark, Reader};
use crate::app::App;
use crate::error::{Error, Result, clipped};
use crate::search::Collection;
use crate::search::parse::{self, ParsedList, Rules, flag};
use crate::values::personal::Disclosure;
use crate::values::zone::Zone;

/// Parameters of lists that have no meaning for a whole list.
pub(super) const OF_PAGES: [&str; 12] =
    ["page", "limit", "pageSize", "per_page", "cursor", "count", "view", "facets", "facetSize", "aggs", "highlight", "include"];

/// What an export is to have.
pub struct Plan {
    pub(super) collection: &'static Collection,
    pub(super) list: ParsedList,
    pub(super) layout: Layout,
    pub(super) disclosure: Disclosure,
}

/// For whom and when an export is done.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    pub disclosure: Disclosure,
    /// What relative days of conditions count from.
    pub now: DateTime<Utc>,
    pub(super) mark: Mark,
}

impl Occasion {
    /// At the canonical address, and for all who see what the disclosure says.
    #[must_use]
    pub fn new(disclosure: Disclosure, now: DateTime<Utc>) -> Self {
        Self { disclosure, now, mark: Mark::ForSpreadsheets }
    }
}

impl Plan {
    /// Reads the parameters of an export: those of the list, and `format`, `columns` and `raw`.
    pub fn read(app: &App, collection: &'static Collection, parameters: &[(String, String)], occasion: Occasion) -> Result<Self> {
        let (mut format, mut columns, mut reader, mut zone) = (Format::default(), None, Reader::default(), None);
        let mut of_list = Vec::new();
        for (name, value) in parameters {
            let refused = |message: &str| Error::malformed("bad_parameter", format!("{}: {message}", clipped(name)));
            match name.as_str() {
                "format" => format = Format::read(value)?,
                "columns" => columns = Some(value.as_str()),
                "raw" if flag(value).map_err(|wrong| refused(&wrong))? => reader = Reader::Program,
                "raw" => {}
                name if OF_PAGES.contains(&name) => {
                    return Err(refused("an export has all records of the list, and nothing else"));
                }
                _ => of_list.push((name.clone(), value.clone())),
            }
            if name == "fields" {
                columns = columns.or(Some(value));
            }
            if name == "tz" {
                zone = value.parse::<Zone>().ok();
            }
        }
        let mut list = parse::parse(collection, of_list, &rules(app, occasion))?;
        let layout = Layout::new(collection, format, columns, reader, zone)?.marked(occasion.mark);
        // What no column shows is not copied.
        list.shape.members = (columns.is_some() || format != Format::Jsonl).then(|| layout.projection());
        Ok(Self { collection, list, layout, disclosure: occasion.disclosure })
    }

    /// Such as `payments.csv`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.collection.name, self.layout.format.name())
    }

    /// For the audit log: without personal data, so that conditions are names, and what was typed is masked.
    #[must_use]
    pub fn details(&self, app: &App) -> Value {
        let typed = (!self.list.typed.is_empty()).then(|| app.audit.keys.mask(&self.list.typed));
        json!({
            "fields": self.list.about,
            "q": typed,
            "columns": self.layout.names(),
            "format": self.layout.format.name(),
        })
    }
}

/// How the conditions are read; an export has no pages.
fn rules(app: &App, occasion: Occasion) -> Rules<'_> {
    let config = &app.config;
    Rules {
        refuse_large_pages: true,
        region: &config.default_region,
        currency: config.default_currency,
        zone: config.default_time_zone,
        aging: &config.aging_days,
        page_default: 1,
        page_limit: 1,
        total_limit: 1,
        now: occasion.now,
        disclosure: occasion.disclosure,
    }
}
