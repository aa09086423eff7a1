//! What searches compare: the normalised forms of one document, the same for every collection.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::values::text;

/// The normalised forms of a document's names, contacts and numbers. Indexed under `search`; clients never see them.
///
/// The same functions normalise the query, so typed text matches the indexed form.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Folded words of all names.
    name: String,
    /// Neighbouring words written as one: "van den Berg" is also found as "vandenberg".
    joined: String,
    /// Every name as a whole, its words in one order.
    full: Vec<String>,
    /// By what names are sorted, family name first; absent without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<String>,
    /// Normalised phone numbers (E.164).
    phone: Vec<String>,
    /// Endings of the phone numbers.
    phone_suffix: Vec<String>,
    /// E-mail addresses in lower case.
    email: Vec<String>,
    /// Folded parts of each e-mail address.
    email_token: Vec<String>,
    /// Numbers that people quote, without case and punctuation.
    number: Vec<String>,
    /// Endings of these numbers.
    number_suffix: Vec<String>,
    /// Folded words of the postal addresses.
    address: String,
    /// Folded words of free text.
    text: String,
    /// Minor units by the names of their fields.
    #[serde(flatten)]
    amounts: BTreeMap<&'static str, i64>,
    /// Endings of one field's values.
    #[serde(flatten)]
    endings: BTreeMap<&'static str, Vec<String>>,
}

/// The names of one person or company.
#[derive(Clone, Copy, Debug, Default)]
pub struct Name<'a> {
    /// What is shown.
    pub display: &'a str,
    /// Given name.
    pub given: Option<&'a str>,
    /// Family name.
    pub family: Option<&'a str>,
    /// Registered name.
    pub company: Option<&'a str>,
}

impl Terms {
    /// Adds the names of one person or company.
    pub fn name(&mut self, name: Name) {
        let display = text::fold(name.display);
        let given = name.given.map(text::fold).unwrap_or_default();
        let family = name.family.map(text::fold).unwrap_or_default();
        let company = name.company.map(text::fold).unwrap_or_default();

        // As the generated column `name_sort` has it.
        self.sort = Some(match (name.family, name.company) {
            (Some(_), _) => join([family.as_str(), &given]),
            (None, Some(_)) => company.clone(),
            (None, None) => display.clone(),
        });
        let parts = join([given.as_str(), &family]);
        for whole in [&display, &parts, &company] {
            let whole_in_order = text::unordered(whole);
            if !whole.is_empty() && !self.full.contains(&whole_in_order) {
                push(&mut self.name, whole);
                self.full.push(whole_in_order);
                for joined in neighbours(whole) {
                    push(&mut self.joined, &joined);
                }
            }
        }
    }

    /// Adds a normalised phone number or e-mail address.
    pub fn contact(&mut self, kind: &str, normalized: &str) {
        if kind == "phone" {
            self.phone_suffix.extend(endings(normalized.trim_start_matches('+')));
            self.phone.push(normalized.into());
        } else {
            self.email_token.push(text::fold(normalized));
            self.email.push(normalized.into());
        }
    }

    /// Adds the parts of a postal address.
    pub fn address<'a>(&mut self, parts: impl IntoIterator<Item = &'a String>) {
        for part in parts {
            push(&mut self.address, &text::fold(part));
        }
    }

    /// Adds numbers that people quote: account numbers, references, ids of other systems.
    pub fn number<'a>(&mut self, numbers: impl IntoIterator<Item = &'a String>) {
        for number in numbers {
            let squashed = text::squash(number);
            self.number_suffix.extend(endings(&squashed));
            self.number.push(squashed);
        }
    }

    /// Adds the endings of a number that one field alone is found by.
    pub fn endings(&mut self, name: &'static str, number: &str) {
        self.endings.insert(name, endings(&text::squash(number)));
    }

    /// Adds an amount in minor units.
    pub fn amount(&mut self, field: &'static str, minor: i64) {
        self.amounts.insert(field, minor);
    }

    /// Adds free text.
    pub fn text<'a>(&mut self, parts: impl IntoIterator<Item = &'a String>) {
        for part in parts {
            push(&mut self.text, &text::fold(part));
        }
    }
}

/// Writes two and three neighbouring words of a folded name as one.
pub(super) fn neighbours(folded: &str) -> impl Iterator<Item = String> {
    let words: Vec<&str> = text::words(folded).collect();
    let pairs: Vec<String> = words.windows(2).chain(words.windows(3)).map(<[&str]>::concat).collect();
    pairs.into_iter()
}

fn endings(number: &str) -> Vec<String> {
    text::suffixes(number).into_iter().map(str::to_owned).collect()
}

fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for part in parts {
        push(&mut joined, part);
    }
    joined
}

fn push(text: &mut String, part: &str) {
    if !text.is_empty() && !part.is_empty() {
        text.push(' ');
    }
    text.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_customer_is_indexed() {
        let mut terms = Terms::default();
        let name = Name { display: "Jürgen van den Berg", given: Some("Jürgen"), family: Some("van den Berg"), company: None };
        terms.name(name);
        terms.contact("phone", "+14155552671");
        terms.contact("email", "j.berg@example.com");
        terms.number([&"AC-00-17".to_owned()]);
        terms.address([&"Öster 5".to_owned(), &"Malmö".to_owned()]);
        insta::assert_json_snapshot!(terms, @r#"
        {
          "name": "jurgen van den berg",
          "joined": "jurgenvan vanden denberg jurgenvanden vandenberg",
          "full": [
            "berg den jurgen van"
          ],
          "sort": "van den berg jurgen",
          "phone": [
            "+14155552671"
          ],
          "phoneSuffix": [
            "2671",
            "52671",
            "552671",
            "5552671",
            "55552671",
            "155552671",
            "4155552671",
            "14155552671"
          ],
          "email": [
            "j.berg@example.com"
          ],
          "emailToken": [
            "j berg example com"
          ],
          "number": [
            "ac0017"
          ],
          "numberSuffix": [
            "0017",
            "c0017",
            "ac0017"
          ],
          "address": "oster 5 malmo",
          "text": ""
        }
        "#);
    }
}
