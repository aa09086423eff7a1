//! What a visualisation asks Elasticsearch: a query, and aggregations in one another.

use serde_json::{Map, Value, json};

use super::SavedObject;
use crate::collections;
use crate::search::{Collection, Field};

/// Where Kibana keeps the query of an object.
pub(super) const SOURCE: &str = "/kibanaSavedObjectMeta/searchSourceJSON";

/// A visualisation or saved search over one collection.
#[derive(Clone, Debug)]
pub struct Panel {
    pub id: String,
    pub title: String,
    /// The alias of its data view, without the prefix.
    pub collection: &'static str,
    /// The field that the time above a dashboard selects by.
    pub time_field: Option<String>,
    /// In the syntax of Lucene.
    pub query: String,
    pub aggregations: Vec<Aggregation>,
}

/// One aggregation of a visualisation.
#[derive(Clone, Debug)]
pub struct Aggregation {
    pub id: String,
    /// As Kibana calls it: `sum`, `terms`, …
    pub kind: String,
    pub field: Option<String>,
    parameters: Value,
}

impl Aggregation {
    /// Whether it is a figure; others are groups.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        !matches!(self.kind.as_str(), "terms" | "date_histogram" | "date_range")
    }
}

impl Panel {
    /// Reads a visualisation or a saved search with its data view; none of those that show a text.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(object: &SavedObject, objects: &[SavedObject]) -> Result<Option<Self>, String> {
        let source = object.json(SOURCE);
        let Some(name) = source["indexRefName"].as_str() else { return Ok(None) };
        let reference = object.reference(name).ok_or_else(|| format!("has no reference {name}"))?;
        let view = objects.iter().find(|other| other.kind == "index-pattern" && other.id == reference.id);
        let view = view.ok_or_else(|| format!("its data view {} is not there", reference.id))?;
        let collection = of_view(view).ok_or("its data view leads to no index for analysts")?;
        if source["query"]["language"] != "lucene" {
            return Err("its query is in another language than lucene, which alone is checked".into());
        }
        if source["filter"].as_array().is_none_or(|filters| !filters.is_empty()) {
            return Err("it has filters; put them into its query, which is checked".into());
        }
        let state = object.json("/visState");
        let aggregations = state["aggs"].as_array().into_iter().flatten().filter(|one| one["enabled"] != false);
        Ok(Some(Self {
            id: object.id.clone(),
            title: object.title().to_owned(),
            collection: collection.name,
            time_field: view.attributes["timeFieldName"].as_str().map(str::to_owned),
            query: source["query"]["query"].as_str().unwrap_or_default().to_owned(),
            aggregations: aggregations.map(read_aggregation).collect(),
        }))
    }

    /// The fields that its query names.
    #[must_use]
    pub fn queried(&self) -> Vec<&str> {
        let word = |text: &'static str| move |c: char| !(c.is_alphanumeric() || text.contains(c));
        let before = |at: usize| self.query[..at].rsplit(word("_")).next().unwrap_or_default();
        let after = |at: usize| self.query[at + 1..].split(word("_")).next().unwrap_or_default();
        let colons = self.query.match_indices(':').map(|(at, _)| if before(at) == "_exists_" { after(at) } else { before(at) });
        colons.filter(|name| !name.is_empty()).collect()
    }

    /// The body of the search that Kibana sends for it: groups in one another, in the order of the panel, and its figures in the
    /// innermost. `time` selects by the data view's field for time, as Kibana writes a period: `now-30d`, `now`.
    #[must_use]
    pub fn search(&self, zone: &str, time: (&str, &str)) -> Value {
        let mut filters = vec![json!({ "query_string": { "query": self.query, "analyze_wildcard": true, "time_zone": zone } })];
        if let Some(field) = &self.time_field {
            filters.push(json!({ "range": { field: { "gte": time.0, "lte": time.1, "time_zone": zone } } }));
        }
        if self.query.is_empty() {
            filters.remove(0);
        }
        let metrics: Map<String, Value> =
            self.aggregations.iter().filter_map(|one| Some((one.id.clone(), metric(one)?))).collect();
        let groups = self.aggregations.iter().filter(|one| !one.is_metric());
        let innermost = Value::Object(metrics.clone());
        let aggs = groups.rev().fold(innermost, |inner, one| {
            let mut group = self.group(one, zone);
            let mut inner = inner;
            if let Some(order) = one.parameters["orderBy"].as_str().and_then(|by| metrics.get(by).map(|metric| (by, metric))) {
                inner[order.0] = order.1.clone();
            }
            if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                group["aggs"] = inner;
            }
            json!({ one.id.clone(): group })
        });
        json!({ "size": 0, "track_total_hits": true, "query": { "bool": { "filter": filters } }, "aggs": aggs })
    }

    fn group(&self, one: &Aggregation, zone: &str) -> Value {
        let (field, parameters) = (&one.field, &one.parameters);
        match one.kind.as_str() {
            "date_histogram" => {
                let interval = if parameters["interval"] == "m" { "1m" } else { "1d" };
                json!({ "date_histogram": { "field": field, "calendar_interval": interval, "time_zone": zone, "min_doc_count": 1 } })
            }
            "date_range" => json!({ "date_range": { "field": field, "ranges": parameters["ranges"], "time_zone": zone } }),
            _ => {
                let by = parameters["orderBy"].as_str().unwrap_or("_key");
                let counts = |by: &str| self.aggregations.iter().any(|one| one.id == by && one.kind == "count");
                let by = if counts(by) { "_count" } else { by };
                let mut terms = json!({ "field": field, "size": parameters["size"], "order": { by: parameters["order"] } });
                if parameters["missingBucket"] == true {
                    terms["missing"] = "__missing__".into();
                }
                json!({ "terms": terms })
            }
        }
    }
}

/// A figure as Elasticsearch takes it; none for the number of documents, which every group has.
fn metric(one: &Aggregation) -> Option<Value> {
    let field = one.field.as_ref().filter(|_| one.is_metric())?;
    Some(json!({ one.kind.clone(): { "field": field } }))
}

fn read_aggregation(one: &Value) -> Aggregation {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Aggregation {
        id: text(&one["id"]),
        kind: text(&one["type"]),
        field: one["params"]["field"].as_str().map(str::to_owned),
        parameters: one["params"].clone(),
    }
}

/// The collection that a data view leads to.
#[must_use]
pub fn of_view(view: &SavedObject) -> Option<&'static Collection> {
    let name = view.attributes["title"].as_str()?.strip_prefix(super::PREFIX)?.strip_prefix('-')?;
    collections::ANALYTICS.into_iter().find(|collection| collection.name == name)
}

/// The field of that name.
#[must_use]
pub fn field(collection: &str, name: &str) -> Option<&'static Field> {
    collections::find(collection)?.fields.iter().find(|field| field.name == name)
}
