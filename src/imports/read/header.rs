//! The header of a file: which column holds which field.

use std::fmt::Write as _;

use crate::imports::fields::{Field, Match, Target, plain};

#[derive(Debug)]
pub(in crate::imports) struct Header {
    /// In the order of the file.
    pub(in crate::imports) columns: Vec<Column>,
}

#[derive(Debug)]
pub(in crate::imports) struct Column {
    pub(in crate::imports) heading: String,
    /// `None` if it is not imported.
    pub(in crate::imports) field: Option<&'static Field>,
}

/// A heading and the field that the operator assigns it: `theirs=ours`, or `theirs=` to leave the column out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    theirs: String,
    ours: String,
}

impl std::str::FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (theirs, ours) = text.rsplit_once('=').ok_or("takes THEIRS=OURS, such as \"Cust No=externalId\"")?;
        Ok(Self { theirs: theirs.trim().to_owned(), ours: ours.trim().to_owned() })
    }
}

impl Header {
    /// Assigns fields to the headings. An error lists all faults and how to correct them.
    pub(in crate::imports) fn read(target: Target, headings: &[String], mappings: &[Mapping]) -> Result<Self, String> {
        let mut wrong = String::new();
        let headings: Vec<&str> = headings.iter().map(|heading| heading.trim()).collect();
        let mut found: Vec<Option<(&'static Field, Match)>> = headings.iter().map(|heading| target.find(heading)).collect();
        for mapping in mappings {
            let field = target.fields().iter().find(|field| plain(field.name) == plain(&mapping.ours));
            let columns: Vec<usize> = (0..headings.len()).filter(|at| plain(headings[*at]) == plain(&mapping.theirs)).collect();
            match (columns.as_slice(), field) {
                ([], _) => wrong.push_str(&format!("\n- there is no column {:?} to map", mapping.theirs)),
                (_, None) if !mapping.ours.is_empty() => {
                    let known: Vec<&str> = target.fields().iter().map(|field| field.name).collect();
                    wrong.push_str(&format!("\n- there is no field {:?}; there are {}", mapping.ours, known.join(", ")));
                }
                (columns, field) => {
                    columns.iter().for_each(|at| found[*at] = field.map(|field| (field, Match::Given)));
                }
            }
        }
        for field in target.fields() {
            keep_best_match(field, &headings, &mut found, &mut wrong);
        }
        for alternatives in target.required() {
            let present = |name: &&str| found.iter().flatten().any(|(field, _)| field.name == *name);
            if !alternatives.iter().any(present) {
                let wanted = alternatives.join(" or ");
                let _ = write!(wrong, "\n- no column holds {wanted}; name one with --map \"THEIRS={}\"", alternatives[0]);
            }
        }
        let columns = headings
            .iter()
            .zip(found)
            .map(|(heading, found)| Column { heading: (*heading).to_owned(), field: found.map(|(field, _)| field) });
        let header = Self { columns: columns.collect() };
        if wrong.is_empty() {
            Ok(header)
        } else {
            Err(format!("the header cannot be used:{wrong}\n{header}", header = header.show(target)))
        }
    }

    pub(in crate::imports) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.field.is_some_and(|field| field.name == name))
    }

    /// One line for each column: its field, or a suggestion.
    pub(in crate::imports) fn show(&self, target: Target) -> String {
        let width = self.columns.iter().map(|column| column.heading.chars().count()).max().unwrap_or(0);
        let lines = self.columns.iter().map(|column| {
            let heading = &column.heading;
            let meaning = match (column.field, target.suggest(heading)) {
                (Some(field), _) => field.name.to_owned(),
                (None, Some(name)) => format!("left out; if it is {name}, pass --map {:?}", format!("{heading}={name}")),
                (None, None) => "left out".to_owned(),
            };
            format!("  {heading:width$} -> {meaning}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Leaves a field one column: the mapped one, else the one with its name. Two that match equally well are an error.
fn keep_best_match(field: &'static Field, headings: &[&str], found: &mut [Option<(&'static Field, Match)>], wrong: &mut String) {
    let is_it = |found: &Option<(&'static Field, Match)>| found.is_some_and(|(other, _)| std::ptr::eq(other, field));
    let Some(best) = found.iter().filter(|found| is_it(found)).flatten().map(|(_, how)| *how).max() else { return };
    for place in found.iter_mut().filter(|found| is_it(found)) {
        if place.is_some_and(|(_, how)| how < best) {
            *place = None;
        }
    }
    let columns: Vec<String> =
        found.iter().zip(headings).filter(|(found, _)| is_it(found)).map(|(_, heading)| format!("{heading:?}")).collect();
    if columns.len() > 1 {
        let _ = write!(
            wrong,
            "\n- the columns {} all hold {}; leave all but one out with --map \"THEIRS=\"",
            columns.join(" and "),
            field.name
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: Target, headings: &str, mappings: &[&str]) -> Result<String, String> {
        let headings: Vec<String> = headings.split(',').map(str::to_owned).collect();
        let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
        let header = Header::read(target, &headings, &mappings)?;
        let names = header.columns.iter().map(|column| column.field.map_or("-", |field| field.name));
        Ok(names.collect::<Vec<_>>().join(","))
    }

    fn check(headings: &str, mappings: &[&str], expected: &str) {
        assert_eq!(read(Target::Customers, headings, mappings).unwrap(), expected);
    }

    #[test]
    fn columns_find_their_fields() {
        check("Id, First Name ,Surname,Shoe size", &[], "externalId,givenName,familyName,-");
        check("Cust No,name", &["cust_no=externalId"], "externalId,name");
        check("id,name,mobile,phone", &[], "externalId,name,-,phone");
        check("id,name,mobile,phone", &["mobile=phone"], "externalId,name,phone,-");
        check("id,name,tel,mobile", &["tel="], "externalId,name,-,phone");
        check("id,a=b,name", &["a=b=email"], "externalId,email,name");
    }

    #[test]
    fn all_faults_of_a_header_are_listed_at_once() {
        let error = read(Target::Customers, "cust,surnmae,tel,mobile", &["foo=name", "tel=colour"]).unwrap_err();
        for part in [
            "no column \"foo\"",
            "no field \"colour\"",
            "\"tel\" and \"mobile\" all hold phone",
            "no column holds externalId; name one with --map \"THEIRS=externalId\"",
            "no column holds name or familyName",
            "if it is familyName, pass --map \"surnmae=familyName\"",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn a_repeated_heading_is_an_error_only_if_it_is_used() {
        assert!(read(Target::Customers, "id,name,name", &[]).unwrap_err().contains("all hold name"));
        check("id,name,x,x,", &[], "externalId,name,-,-,-");
    }
}
