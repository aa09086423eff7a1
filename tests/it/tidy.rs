//! House rules that a compiler does not check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms and their floors; see the map in `src/lib.rs`. A room uses only rooms on lower floors; the plain types of the ground
/// floor may use one another.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["config", "error", "values", "validate", "metrics", "failpoint"]),
    (1, &["db", "search", "freshness", "cache", "feed"]),
    (2, &["app"]),
    (3, &["http"]),
    (4, &["api"]),
    (5, &["auth"]),
    (6, &["features"]),
    (7, &["collections"]),
    (8, &["sync", "imports"]),
    (9, &["health"]),
    (10, &["server", "worker"]),
    (11, &["cli", "main"]),
];

/// Macros, which Rust exports at the root of the crate.
const MACROS: [&str; 3] = ["fields", "routes", "words"];

const LINE_LIMIT: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder, with its text, by its path from the root.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path.strip_prefix(root()).unwrap().display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<(String, String)> {
    let all = files("src").into_iter().chain(files("tests"));
    all.filter(|(path, _)| Path::new(path).extension().is_some_and(|extension| extension == "rs")).collect()
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The rooms that a source text uses: whatever follows `crate::`, also inside the braces of a grouped `use`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    let leading_word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (_, rest) in code.match_indices("crate::").map(|(at, _)| code.split_at(at + "crate::".len())) {
        match rest.strip_prefix('{') {
            None => drop(used.insert(leading_word(rest))),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphabetic() && depth == 0 => {
                            used.insert(leading_word(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

/// The uses in a room's text that go sideways or up.
fn wrong_uses(room: &str, text: &str) -> Vec<String> {
    let floor = floor_of(room).unwrap_or_else(|| panic!("room {room} has no floor in FLOORS"));
    rooms_used(text)
        .into_iter()
        .filter(|used| used != room)
        .filter(|used| {
            floor_of(used).is_some_and(|other| other >= floor && other > 0)
                || (floor_of(used).is_none() && !MACROS.contains(&used.as_str()))
        })
        .collect()
}

fn room_of(path: &str) -> String {
    let inner = path.strip_prefix("src/").unwrap();
    inner.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        if path == "src/lib.rs" || !path.ends_with(".rs") {
            continue;
        }
        wrong.extend(wrong_uses(&room_of(&path), &text).into_iter().map(|used| format!("{path} uses {used}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_planted_violation_of_the_direction_is_found() {
    assert_eq!(wrong_uses("search", "use crate::app::App;\n"), ["app"]);
    assert_eq!(wrong_uses("api", "use crate::{\n    error::{Error, Result},\n    features::payments,\n};\n"), ["features"]);
    assert_eq!(wrong_uses("http", "fn f() { crate::auth::may() }\n"), ["auth"]);
    assert_eq!(wrong_uses("db", "use crate::nowhere;\n"), ["nowhere"]);
    assert_eq!(wrong_uses("server", "use crate::app::App;\n// use crate::cli;\n"), Vec::<String>::new());
}

#[test]
fn no_file_is_longer_than_the_limit() {
    let long: Vec<String> = rust_files()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINE_LIMIT)
        .map(|(path, lines)| format!("{path}: {lines}"))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<String> =
        rust_files().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn nothing_names_a_machine_or_leaves_work_undone() {
    // Written apart, so that this file does not find itself.
    let banned =
        [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("]];
    let mut found = Vec::new();
    let folders = ["src", "tests", "bin", "migrations", "index-templates", "docs", ".ci"].into_iter().flat_map(files);
    let single = ["README.md", "Cargo.toml", "Dockerfile", "docker-compose.yml"];
    let single = single.map(|path| (path.to_owned(), fs::read_to_string(root().join(path)).unwrap()));
    for (path, text) in folders.chain(single) {
        for word in banned.map(|parts| parts.concat()) {
            found.extend(text.contains(&word).then(|| format!("{path} contains {word}")));
        }
        found.extend(chapters_named(&text).map(|chapter| format!("{path} names the chapter {chapter}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

/// What reads like the number and the name of a chapter in a document that a reader of the project does not have.
fn chapters_named(text: &str) -> impl Iterator<Item = &str> {
    const NAMES: [&str; 10] =
        ["product", "architecture", "api", "search", "sync", "reliability", "style", "performance", "console", "data-model"];
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
    words.filter(|word| {
        let (number, name) = word.split_once('-').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()) && NAMES.contains(&name)
    })
}

#[test]
fn a_planted_name_of_a_chapter_is_found() {
    // Written apart, as above.
    let [one, other] = [["10-perf", "ormance"], ["5-sy", "nc"]].map(|parts| parts.concat());
    let planted = format!("what {one} asks for, as in `{other}.md`; not the 8-byte word of 15-sync_test");
    assert_eq!(chapters_named(&planted).collect::<Vec<_>>(), [one, other]);
}

#[test]
fn the_name_of_a_test_is_a_claim() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files() {
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line != "#[test]" && !line.starts_with("#[tokio::test") {
                continue;
            }
            let Some(name) = lines.by_ref().find_map(|line| line.split_once("fn ").map(|(_, rest)| rest)) else { continue };
            let name = name.split('(').next().unwrap_or_default();
            if name.starts_with("test_") || name.matches('_').count() < 2 {
                wrong.push(format!("{path}: {name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "a test's name is a sentence of at least three words");
}

#[test]
fn every_migration_has_a_time_of_its_own_and_a_noun() {
    let mut times = BTreeSet::new();
    for (path, text) in files("migrations") {
        let name = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        let (time, noun) = name.split_once('_').unwrap_or((name, ""));
        assert!(time.len() == 14 && time.bytes().all(|digit| digit.is_ascii_digit()) && !noun.is_empty(), "{path}");
        assert!(times.insert(time.to_owned()), "{path} has the time of another");
        assert!(text.starts_with("-- "), "{path} opens with what it is for");
    }
}

/// `UPDATE_DOCS=1 cargo test tidy` writes the page.
#[test]
fn the_documents_list_every_setting_with_its_default() {
    let path = root().join("docs/settings.md");
    let page = collections::cli::settings_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page);
    }
}

#[test]
fn every_setting_says_what_it_means() {
    use clap::CommandFactory;
    let cli = collections::cli::Cli::command();
    let silent: Vec<String> = cli
        .find_subcommand("serve")
        .unwrap()
        .get_arguments()
        .filter(|argument| argument.get_env().is_some() && argument.get_help().is_none())
        .map(|argument| argument.get_id().to_string())
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory;
    collections::cli::Cli::command().debug_assert();
}

/// The error codes in the source: the first argument of the constructors, and what `Error::code` names itself.
fn error_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let quoted = |text: &str| text.split('"').nth(1).map(str::to_owned);
    for (path, text) in files("src") {
        let text = text.split("#[cfg(test)]").next().unwrap();
        for constructor in ["Error::malformed(", "Error::conflict(", "Self::malformed(", "Self::conflict(", "code: \""] {
            for (at, _) in text.match_indices(constructor) {
                let argument = if constructor.ends_with('"') { &text[at..] } else { &text[at + constructor.len()..] };
                let argument = &argument[..argument.find([',', '}']).unwrap_or(argument.len())];
                codes.extend(quoted(&format!("{argument}\"")).filter(|code| !code.is_empty() && !code.contains(' ')));
            }
        }
        if path == "src/error.rs" {
            let table = text.split("pub fn code(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
            codes.extend(table.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    codes
}

#[test]
fn every_error_code_is_in_the_documents() {
    let document = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let missing: Vec<String> = error_codes().into_iter().filter(|code| !document.contains(&format!("`{code}`"))).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_metric_is_in_the_documents() {
    let document = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let source = fs::read_to_string(root().join("src/metrics.rs")).unwrap();
    let names: Vec<&str> = source.split('"').filter(|text| text.starts_with("collections_")).collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
