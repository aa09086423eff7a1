//! The files of `index-templates/`: mappings and a field dictionary, written from the tables of fields and the structs behind them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use collections::collections::{ALL, ANALYTICS, every};
use collections::search::{Access, Collection, Field, FieldKind, PastDue, Template, mapping};
use serde_json::Value;

/// `UPDATE_TEMPLATES=1` writes the files.
#[test]
fn templates_follow_from_the_tables_of_fields() {
    for collection in every() {
        expect_file(&format!("index-templates/{}.json", collection.name), &mapping::file(collection));
    }
    expect_file("index-templates/README.md", &dictionary());
}

#[test]
fn whatever_documents_are_made_from_changes_the_hash() {
    let hash = |collection: &Collection| Template::new(collection).unwrap().hash;
    let mut hashes: Vec<String> = every().map(hash).collect();
    hashes.extend(every().map(|one| hash(&Collection { revision: one.revision + 1, ..*one })));
    hashes.push(hash(&Collection { template: r#"{ "properties": {} }"#, ..*ALL[0] }));
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
    let comment = Collection { template: r#"{ "_meta": { "dictionary": "here" }, "properties": {} }"#, ..*ALL[0] };
    assert!(hashes.contains(&hash(&comment)), "a comment asks for no reindex");
}

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn expect_file(path: &str, expected: &str) {
    if std::env::var_os("UPDATE_TEMPLATES").is_some() {
        fs::write(root(path), expected).unwrap();
    }
    assert_eq!(fs::read_to_string(root(path)).unwrap_or_default(), expected, "{path}: write it with UPDATE_TEMPLATES=1");
}

const INTRODUCTION: &str = "\
# Index templates

Everything here but `_settings.json` and `_search.json` is written by `UPDATE_TEMPLATES=1 bin/test templates_follow`, from the tables
of fields (`src/features/<collection>/fields.rs`, `src/features/analytics/`) and the comments of the structs that they describe. A mapping is put together from
the collection's file and the two that all share. It is strict, and its `_meta` has the hash that names the index, the version of the
normaliser, the revision of the documents and the database that owns the index. `collections templates show` prints the whole,
`diff` compares it with Elasticsearch.

Filters: `field=value` is `field[eq]=value`. What is shown only is in the document and not indexed. Nothing below `search` is shown.
";

/// The field dictionary, in Markdown.
fn dictionary() -> String {
    let mut page = INTRODUCTION.to_owned();
    for collection in ALL {
        let source = fs::read_to_string(root(&format!("src/features/{}/fields.rs", collection.name))).unwrap();
        let record = source.split("fields! { ").nth(1).unwrap().split(';').next().unwrap();
        let folder = format!("src/features/{}", collection.name);
        let members = members(&folder, record);
        let title = format!("{}{}", collection.name[..1].to_uppercase(), &collection.name[1..]);
        let _ = write!(page, "\n## {title}\n\nFrom `{}`.\n\n", flat(&collection.tables()));
        page += "| field | on the wire | meaning | from | filters | sorts | in the index |\n|---|---|---|---|---|---|---|\n";
        for field in collection.fields {
            let member = members.get(field.name).unwrap_or_else(|| panic!("{record} has no member for {}", field.name));
            page += &row(collection, field, &member.meaning);
            if let FieldKind::Parts(parts) = field.kind {
                page += &part_rows(field, parts, &folder, &member.kind);
            }
        }
        if collection.past_due.is_some() {
            let names = PastDue::FIELDS.map(|name| format!("`{name}`")).join(", ");
            let _ = write!(page, "\nComputed by the day, filtered and sorted by, and not in the index: {names}.\n");
        }
    }
    page + &search_forms() + &for_analysts()
}

const FOR_ANALYSTS: &str = "
# For analysts

The setting `ANALYTICS` switches these indices on. No list reads them and no person is in them: [docs/analytics.md](../docs/analytics.md).
";

/// The dictionary of the indices that no list reads.
fn for_analysts() -> String {
    let mut page = FOR_ANALYSTS.to_owned();
    for collection in ANALYTICS {
        let path = mapping::source(collection);
        let source = fs::read_to_string(root(&path)).unwrap();
        let record = source.split("pub struct ").nth(1).unwrap().split(' ').next().unwrap();
        let members = members_in(&source, record).unwrap();
        let _ = write!(page, "\n## {}\n\nFrom `{}`.\n\n", collection.name, flat(&collection.tables()));
        page += "| field | type | meaning | from | example |\n|---|---|---|---|---|\n";
        for Field { name, kind, sql, .. } in collection.fields {
            let member = members.get(*name).unwrap_or_else(|| panic!("{record} has no member for {name}"));
            let (meaning, example) = (&member.meaning, example(name, *kind));
            let _ = writeln!(page, "| `{name}` | {} | {meaning} | `{}` | `{example}` |", on_the_wire(*kind), flat(sql));
        }
        assert_eq!(members.len(), collection.fields.len(), "{record} has members that the index does not know");
    }
    page
}

/// What a value may look like.
fn example(name: &str, kind: FieldKind) -> &'static str {
    let texts = [
        ("agent", "maria"),
        ("ageBand", "1980s"),
        ("bucketAfter", "31-60"),
        ("bucketBefore", "1-30"),
        ("channel", "phone"),
        ("country", "DE"),
        ("creditor", "Northern Bank"),
        ("disposition", "no_answer"),
        ("failureCode", "insufficient_funds"),
        ("kind", "person"),
        ("language", "de"),
        ("method", "bank_transfer"),
        ("movement", "worse"),
        ("portfolio", "2026-Q1"),
        ("process", "019ab3f2-5c1e-7d40-9a57-3f0c2d1b8e64"),
        ("product", "consumer loan"),
        ("region", "Bavaria"),
        ("role", "leading"),
        ("status", "open"),
        ("type", "call"),
    ];
    match kind {
        FieldKind::Id => "019ab3f2-5c1e-7d40-9a57-3f0c2d1b8e64",
        FieldKind::Currency => "EUR",
        FieldKind::Money => "129.90",
        FieldKind::Integer if name.ends_with("Minor") => "12990",
        FieldKind::Integer => "3",
        FieldKind::Day if name.ends_with("Month") => "2026-01-01",
        FieldKind::Day => "2026-01-31",
        FieldKind::Moment => "2026-01-31T09:30:00.000Z",
        FieldKind::Flag => "true",
        _ if name.ends_with("Key") => "8f1c0d9b2e7a46358f1c0d9b2e7a4635",
        _ => texts.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} needs an example")).1,
    }
}

fn row(collection: &Collection, field: &Field, meaning: &str) -> String {
    let Field { name, path, .. } = field;
    let alias = collection.id.split('.').next().unwrap();
    let from = match (field.sql, field.access) {
        ("", Access::Server) => "read with the record".to_owned(),
        ("", _) => format!("`{alias}.{}`", snake_case(name)),
        (sql, _) => format!("`{}`", flat(sql)),
    };
    let filters = if field.is_listed() { field.operators().join(", ") } else { "–".to_owned() };
    let sorts = if field.sortable { "yes" } else { "–" };
    let mut place = if field.indexed { format!("`{path}`") } else { "shown only".to_owned() };
    if let Some(endings) = field.endings {
        let _ = write!(place, ", endings in `search.{}`", endings.name);
    }
    format!("| `{name}` | {} | {meaning} | {from} | {filters} | {sorts} | {place} |\n", on_the_wire(field.kind))
}

fn part_rows(field: &Field, parts: &[(&str, &str)], folder: &str, kind: &str) -> String {
    let record = kind.split("Vec<").nth(1).unwrap().split('>').next().unwrap();
    let members = members(folder, record);
    let mut rows = String::new();
    for (part, mapping) in parts {
        let path = format!("{}.{part}", field.name);
        let mapping: Value = serde_json::from_str(mapping).unwrap();
        let kind =
            mapping["type"].as_str().unwrap().replace("keyword", "text").replace("double", "decimal").replace("boolean", "flag");
        let place = if mapping["index"] == false { "shown only".to_owned() } else { format!("`{path}`") };
        let _ = writeln!(rows, "| `{path}` | {kind} | {} | read with the record | – | – | {place} |", members[*part].meaning);
    }
    rows
}

fn search_forms() -> String {
    let mapping: Value = serde_json::from_str(&fs::read_to_string(root("index-templates/_search.json")).unwrap()).unwrap();
    let forms = mapping["properties"].as_object().unwrap();
    let meanings = members("src/search/phrase", "Terms");
    let mut page =
        "\n## Normalised forms\n\nWhat searches compare, alike in every collection (`src/search/phrase/terms.rs`).\n\n"
            .to_owned();
    page += "| path | type | meaning |\n|---|---|---|\n";
    for (name, form) in forms {
        let meaning = &meanings.get(name).unwrap_or_else(|| panic!("Terms has no member for search.{name}")).meaning;
        let _ = writeln!(page, "| `search.{name}` | {} | {meaning} |", form["type"].as_str().unwrap());
    }
    page
}

fn on_the_wire(kind: FieldKind) -> String {
    match kind {
        FieldKind::Keyword(words) => {
            let words: Vec<String> = words.known.iter().map(|word| format!("`{word}`")).collect();
            return words.join(", ");
        }
        FieldKind::Text | FieldKind::Folded => "text",
        FieldKind::Currency => "currency (ISO 4217)",
        FieldKind::Id => "UUID",
        FieldKind::Money => "decimal",
        FieldKind::Integer => "whole number",
        FieldKind::Day => "day",
        FieldKind::Moment => "moment, to the millisecond",
        FieldKind::Flag => "true or false",
        FieldKind::Tags => "list of texts",
        FieldKind::Object => "free object",
        FieldKind::Parts(_) => "list of objects",
    }
    .to_owned()
}

/// A member of a struct as its source says it.
struct Member {
    /// Its comment.
    meaning: String,
    /// Its type.
    kind: String,
}

/// Reads the members of a struct in a folder, by their names on the wire.
fn members(folder: &str, name: &str) -> BTreeMap<String, Member> {
    let paths = fs::read_dir(root(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut files = paths.map(|path| fs::read_to_string(path).unwrap());
    files.find_map(|text| members_in(&text, name)).unwrap_or_else(|| panic!("no struct {name} in {folder}"))
}

/// The same of a struct in a file; none if it is not there.
fn members_in(text: &str, name: &str) -> Option<BTreeMap<String, Member>> {
    let head = format!("pub struct {name} {{\n");
    let source = text.split_once(&head)?.1.split_once("\n}")?.0;
    let (mut members, mut meaning, mut renamed) = (BTreeMap::new(), String::new(), None);
    // What is not serialised is in no document.
    let shown = source.lines().map(str::trim).filter(|line| !line.starts_with("pub(super) "));
    for line in shown {
        if let Some(comment) = line.strip_prefix("/// ") {
            meaning += if meaning.is_empty() { "" } else { " " };
            meaning += comment;
        } else if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
            renamed = name.split('"').next();
        } else if let Some((left, kind)) = line.split_once(": ")
            && !line.starts_with("#[")
        {
            let member = left.rsplit(' ').next().unwrap();
            assert!(!meaning.is_empty(), "{name}.{member} needs a comment: the field dictionary repeats it");
            let meaning = std::mem::take(&mut meaning).trim_end_matches('.').replace('|', "\\|");
            let on_the_wire = renamed.take().map_or_else(|| camel_case(member), str::to_owned);
            members.insert(on_the_wire, Member { meaning, kind: kind.to_owned() });
        }
    }
    Some(members)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |name, c| {
        if c.is_uppercase() { name + "_" + &c.to_lowercase().to_string() } else { name + &c.to_string() }
    })
}

/// SQL on one line of a table.
fn flat(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
