//! The documents list everything that the program has.

use std::collections::BTreeSet;
use std::fs;

use clap::CommandFactory;

use super::{files, root};

/// Compares a page with what it follows from; `UPDATE_DOCS=1 cargo test tidy` writes it.
fn follows(page: &str, text: &str) {
    let path = root().join(page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
    }
}

#[test]
fn the_documents_list_every_setting_with_its_default() {
    follows("docs/settings.md", &collections::cli::settings_page());
}

#[test]
fn the_documents_list_every_event_and_topic() {
    follows("docs/events.md", &collections::realtime::events_page());
}

#[test]
fn every_setting_says_what_it_means() {
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
    collections::cli::Cli::command().debug_assert();
}

/// The error codes in the source: the first argument of the constructors, and what `Error::code` names itself.
fn error_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let quoted = |text: &str| text.split('"').nth(1).map(str::to_owned);
    for (path, text) in files("src") {
        let text = text.split("#[cfg(test)]").next().unwrap();
        for constructor in [
            "Error::malformed(",
            "Error::conflict(",
            "Error::busy(",
            "Self::malformed(",
            "Self::conflict(",
            "Self::busy(",
            "code: \"",
        ] {
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
    let source = fs::read_to_string(root().join("src/metrics/mod.rs")).unwrap();
    let names: Vec<&str> = source.split('"').filter(|text| text.starts_with("collections_")).collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
