//! The mapping of a collection's index, written from its table of fields: the files in `index-templates/`.

use std::fmt::Write as _;

use super::{Collection, Field, FieldKind};

/// Writes the file of a collection; what all collections have alike is in `_settings.json` and `_search.json`.
#[must_use]
pub fn file(collection: &Collection) -> String {
    let mut text = format!(
        r#"{{
  "dynamic": "strict",
  "_meta": {{
    "generatedBy": "collections, from {}",
    "dictionary": "index-templates/README.md"
  }},
  "properties": {{"#,
        source(collection)
    );
    let fields = collection.fields.iter().map(|field| format!("\n    \"{}\": {}", field.name, mapping(field)));
    text += &fields.collect::<Vec<_>>().join(",");
    if !collection.is_listed() {
        return text + "\n  }\n}\n";
    }
    let amounts = collection.fields.iter().filter(|field| matches!(field.kind, FieldKind::Money) && field.indexed);
    let amounts = amounts.map(|field| format!("\"{}\": {{ \"type\": \"long\" }}", field.name));
    let endings = collection.fields.iter().filter_map(|field| field.endings);
    let endings = endings.map(|endings| format!("\"{}\": {{ \"type\": \"keyword\", \"doc_values\": false }}", endings.name));
    let own = amounts.chain(endings).collect::<Vec<_>>().join(", ");
    let _ = write!(text, ",\n    \"search\": {{ \"properties\": {{ {own} }} }}\n  }}\n}}\n");
    text
}

/// The file with the table of a collection's fields.
#[must_use]
pub fn source(collection: &Collection) -> String {
    match collection.name.split_once('-') {
        Some((folder, name)) => format!("src/features/{folder}/{name}.rs"),
        None => format!("src/features/{}/fields.rs", collection.name),
    }
}

/// A value that is filtered by under another path is held here for display alone.
fn mapping(field: &Field) -> String {
    let kind = match field.kind {
        FieldKind::Keyword(_) | FieldKind::Text | FieldKind::Folded | FieldKind::Currency | FieldKind::Id | FieldKind::Tags => {
            "keyword"
        }
        FieldKind::Money => "double",
        FieldKind::Integer => "long",
        FieldKind::Day | FieldKind::Moment => "date",
        FieldKind::Flag => "boolean",
        FieldKind::Object => return r#"{ "type": "flattened", "ignore_above": 1000, "depth_limit": 200 }"#.into(),
        FieldKind::Parts(parts) => {
            let parts: Vec<String> = parts.iter().map(|(name, kind)| format!("\n        \"{name}\": {kind}")).collect();
            return format!("{{\n      \"properties\": {{{}\n      }}\n    }}", parts.join(","));
        }
    };
    let options = if field.indexed && field.path == field.name { "" } else { r#", "index": false, "doc_values": false"# };
    format!(r#"{{ "type": "{kind}"{options} }}"#)
}
