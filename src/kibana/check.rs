//! Checks saved objects against the indices for analysts, without Kibana.

use std::collections::BTreeSet;

use serde_json::Value;

use super::panel::{Aggregation, Panel, field, of_view};
use super::{Reference, SavedObject};
use crate::search::FieldKind;

/// The types that are checked, each with the newest version of its format that Kibana 8.19 is sure to know.
const TYPES: [(&str, &str); 4] =
    [("index-pattern", "8.0.0"), ("search", "8.0.0"), ("visualization", "8.5.0"), ("dashboard", "8.9.0")];
const CORE: &str = "8.8.0";
/// Kinds of visualisations.
const CHARTS: [&str; 6] = ["table", "metric", "histogram", "line", "pie", "markdown"];

/// Lists what is wrong, each fault with its object.
#[must_use]
pub fn check(objects: &[SavedObject]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known = BTreeSet::new();
    for object in objects {
        let mut add = |fault: String| faults.push(format!("{} {}: {fault}", object.kind, object.id));
        if !known.insert((&object.kind, &object.id)) {
            add("is there twice".into());
        }
        for fault in check_object(object, objects) {
            add(fault);
        }
    }
    faults
}

fn check_object(object: &SavedObject, objects: &[SavedObject]) -> Vec<String> {
    let mut faults = Vec::new();
    match TYPES.iter().find(|(kind, _)| *kind == object.kind) {
        None => return vec![format!("is of a type that is not checked; there are {}", TYPES.map(|(kind, _)| kind).join(", "))],
        Some((_, version)) => {
            if object.type_version != *version || object.core_version != CORE {
                faults.push(format!("is not of the version {version} ({CORE}), which Kibana 8.19 reads"));
            }
        }
    }
    let is_there = |one: &Reference| objects.iter().any(|other| other.kind == one.kind && other.id == one.id);
    for missing in object.references.iter().filter(|reference| !is_there(reference)) {
        faults.push(format!("refers to {} {}, which is not there", missing.kind, missing.id));
    }
    let text = object.attributes.to_string();
    if text.contains("://") {
        faults.push("holds an address, which is another one elsewhere".into());
    }
    match object.kind.as_str() {
        "index-pattern" => check_view(object, &mut faults),
        "dashboard" => check_dashboard(object, &mut faults),
        _ => match Panel::read(object, objects) {
            Err(fault) => faults.push(fault),
            Ok(Some(panel)) => check_panel(object, &panel, &mut faults),
            Ok(None) if object.json("/visState")["type"] == "markdown" => {}
            Ok(None) => faults.push("has no data view".into()),
        },
    }
    faults
}

fn check_view(object: &SavedObject, faults: &mut Vec<String>) {
    let Some(collection) = of_view(object) else {
        faults.push(format!("leads to {}, which is no index for analysts", object.attributes["title"]));
        return;
    };
    let mut named = BTreeSet::new();
    for (pointer, what) in [("/fieldFormatMap", "formats"), ("/fieldAttrs", "labels")] {
        for (name, _) in object.json(pointer).as_object().into_iter().flatten() {
            if field(collection.name, name).is_none() {
                faults.push(format!("{what} {name}, which is no field"));
            }
            named.insert(name.clone());
        }
    }
    for field in collection.fields.iter().filter(|field| !named.contains(field.name)) {
        faults.push(format!("gives {} no label", field.name));
    }
    if let Some(name) = object.attributes["timeFieldName"].as_str()
        && !field(collection.name, name).is_some_and(|field| is_date(field.kind))
    {
        faults.push(format!("takes {name} for time, which is no date"));
    }
}

fn check_dashboard(object: &SavedObject, faults: &mut Vec<String>) {
    let panels = object.json("/panelsJSON");
    let panels = panels.as_array().map(Vec::as_slice).unwrap_or_default();
    if panels.is_empty() {
        faults.push("shows nothing".into());
    }
    let mut used = BTreeSet::new();
    for panel in panels {
        let (number, name) =
            (panel["panelIndex"].as_str().unwrap_or_default(), panel["panelRefName"].as_str().unwrap_or_default());
        let name = format!("{number}:{name}");
        match object.reference(&name) {
            Some(reference) if panel["type"] == reference.kind => {}
            Some(_) => faults.push(format!("shows {name} as another type")),
            None => faults.push(format!("shows {name}, to which it does not refer")),
        }
        if ["x", "y", "w", "h"].iter().any(|side| !panel["gridData"][side].is_u64()) {
            faults.push(format!("does not say where {name} is"));
        }
        used.insert(name);
    }
    let has_text = |reference: &Reference| reference.kind == "visualization" && reference.id.ends_with("-about");
    if !object.references.iter().any(has_text) {
        faults.push("has no explanation: a text whose id ends with `-about`".into());
    }
    for unused in object.references.iter().filter(|reference| !used.contains(&reference.name)) {
        faults.push(format!("refers to {} and does not show it", unused.name));
    }
}

fn check_panel(object: &SavedObject, panel: &Panel, faults: &mut Vec<String>) {
    let shown = object.attributes["columns"].as_array().into_iter().flatten();
    let sorted = object.attributes["sort"].as_array().into_iter().flatten().map(|order| &order[0]);
    let columns = shown.chain(sorted).filter_map(Value::as_str);
    for name in columns.chain(panel.queried()) {
        if field(panel.collection, name).is_none() {
            faults.push(format!("names {name}, which is no field of {}", panel.collection));
        }
    }
    if object.kind == "search" {
        return;
    }
    let state = object.json("/visState");
    if !CHARTS.iter().any(|chart| state["type"] == *chart) {
        faults.push(format!("is a chart of the type {}, which is not checked", state["type"]));
    }
    if !panel.aggregations.iter().any(Aggregation::is_metric) {
        faults.push("shows no figure".into());
    }
    for one in &panel.aggregations {
        faults.extend(check_aggregation(panel, one));
    }
    let of = |one: &Aggregation| one.field.as_deref().unwrap_or_default().to_owned();
    let is_split = panel.aggregations.iter().any(|one| one.kind == "terms" && of(one) == "currency");
    let is_money = |name: &str| {
        name.ends_with("Minor") || field(panel.collection, name).is_some_and(|field| matches!(field.kind, FieldKind::Money))
    };
    for one in panel.aggregations.iter().filter(|one| one.is_metric() && !is_split && is_money(&of(one))) {
        faults.push(format!("adds {} up across currencies: split it by currency", of(one)));
    }
}

/// Whether a field fits what is done with it.
fn check_aggregation(panel: &Panel, one: &Aggregation) -> Option<String> {
    let fits: fn(FieldKind) -> bool = match one.kind.as_str() {
        "count" => return None,
        "sum" | "avg" => is_number,
        "min" | "max" => |kind| is_number(kind) || is_date(kind),
        "cardinality" => |_| true,
        "terms" => |kind| !is_number(kind) && !is_date(kind),
        "date_histogram" | "date_range" => is_date,
        other => return Some(format!("has the aggregation {other}, which is not checked")),
    };
    let Some(name) = &one.field else { return Some(format!("has an aggregation {} of no field", one.kind)) };
    match field(panel.collection, name) {
        None => Some(format!("names {name}, which is no field of {}", panel.collection)),
        Some(field) if fits(field.kind) => None,
        Some(_) => Some(format!("has an aggregation {} of {name}, which has another type", one.kind)),
    }
}

fn is_number(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Money | FieldKind::Integer)
}

fn is_date(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Day | FieldKind::Moment)
}
