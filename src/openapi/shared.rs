//! What several operations say in the same words is said once.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Moves the parameters that several operations have to the components. Of those with one name the most frequent has the name, the
/// next are numbered.
pub(super) fn parameters(document: &mut Value) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    each_parameter(document, &mut |parameter| *counts.entry(parameter.to_string()).or_default() += 1);
    let mut shared: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    shared.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let mut components = Map::new();
    let mut names = BTreeMap::new();
    for (text, _) in shared {
        let Ok(parameter) = serde_json::from_str::<Value>(&text) else { continue };
        let name = component(parameter["name"].as_str().unwrap_or_default());
        let same = |number: usize| if number == 1 { name.clone() } else { format!("{name}{number}") };
        let name =
            (1..).map(same).find(|name| !components.contains_key(name) && document["components"]["parameters"][name].is_null());
        let Some(name) = name else { continue };
        components.insert(name.clone(), parameter);
        names.insert(text, name);
    }
    each_parameter(document, &mut |parameter| {
        if let Some(name) = names.get(&parameter.to_string()) {
            *parameter = json!({ "$ref": format!("#/components/parameters/{name}") });
        }
    });
    if let Some(known) = document["components"]["parameters"].as_object_mut() {
        known.extend(components);
    }
}

/// Calls `see` for each parameter that an operation describes itself.
fn each_parameter(document: &mut Value, see: &mut dyn FnMut(&mut Value)) {
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = items.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    let lists = operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut());
    lists.flatten().filter(|parameter| parameter["$ref"].is_null()).for_each(see);
}

/// `accountId` as `AccountId`.
fn component(name: &str) -> String {
    let mut letters = name.chars().filter(|letter| letter.is_ascii_alphanumeric());
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
