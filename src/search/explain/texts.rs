//! The texts of a document: those that its record shows, and the forms of others that only searches see.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::glyphs::Glyphs;
use crate::search::{Field, FieldKind};
use crate::values::text;

pub(super) type Object = Map<String, Json>;

/// Members of `search` that are texts or lists of texts, under the names that clients know.
const FORMS: [(&str, &str); 7] = [
    ("name", "name"),
    ("phone", "phone"),
    ("email", "email"),
    ("emailToken", "email"),
    ("number", "number"),
    ("address", "address"),
    ("text", "text"),
];

/// A text as it is shown, or as it is compared if it is not shown.
#[derive(Debug)]
pub(super) struct Text<'a> {
    /// Name on the wire: `name`, `addresses.city`.
    pub(super) field: String,
    pub(super) original: &'a str,
    pub(super) glyphs: Glyphs,
    /// Whether all its words are words of names.
    pub(super) is_name: bool,
}

/// The texts that searches compare.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    pub(super) shown: Vec<Text<'a>>,
    /// What is compared, shown or not.
    pub(super) forms: Vec<Text<'a>>,
}

impl<'a> Texts<'a> {
    pub(super) fn of(fields: &[Field], document: &'a Object) -> Self {
        let search = document.get("search").and_then(Json::as_object);
        let form = |name: &str| search.and_then(|search| search.get(name));
        let names: HashSet<&str> = form("name").into_iter().flat_map(strings).flat_map(text::words).collect();
        let read = |field: String, original: &'a str| {
            let glyphs = Glyphs::of(original);
            let is_name = glyphs.words(1).all(|(word, _)| names.contains(word.as_str()));
            Text { field, original, glyphs, is_name }
        };
        let forms = FORMS.iter().flat_map(|(member, name)| form(member).into_iter().flat_map(strings).map(|text| (*name, text)));
        let forms: Vec<Text> = forms.map(|(name, text)| read(name.to_owned(), text)).collect();
        let compared: HashSet<String> = forms.iter().flat_map(|form| form.glyphs.words(1)).map(|(word, _)| word).collect();
        // A text of which no word is compared cannot be why the document was found.
        let is_compared = |text: &Text| {
            compared.contains(&text.glyphs.squashed())
                || text.glyphs.words(1).any(|(word, _)| compared.contains(&word))
                || (text.glyphs.is_number() && forms.iter().any(|form| ends_alike(form, text)))
        };
        let shown = fields.iter().flat_map(|field| originals(field, document)).map(|(field, text)| read(field, text));
        Self { shown: shown.filter(is_compared).collect(), forms }
    }
}

/// The texts that a record shows of a field.
fn originals<'a>(field: &Field, document: &'a Object) -> Vec<(String, &'a str)> {
    let Some(value) = document.get(field.name) else { return Vec::new() };
    match field.kind {
        FieldKind::Text | FieldKind::Folded => value.as_str().map(|text| (field.name.to_owned(), text)).into_iter().collect(),
        FieldKind::Parts(_) => {
            let parts = value.as_array().into_iter().flatten().filter_map(Json::as_object).flatten();
            let texts = parts.filter(|(name, _)| *name != "id").filter_map(|(name, value)| Some((name, value.as_str()?)));
            texts.map(|(name, text)| (format!("{}.{name}", field.name), text)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a phone number is one that was typed without the country code.
fn ends_alike(form: &Text, text: &Text) -> bool {
    let national = text.glyphs.squashed();
    let national = national.trim_start_matches('0');
    form.field == "phone" && !national.is_empty() && form.glyphs.squashed().ends_with(national)
}

fn strings(value: &Json) -> impl Iterator<Item = &str> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().filter_map(Json::as_str)
}
