//! Words: no private vocabulary, no names of machines, tests named by their claims.

use std::fs;

use super::{files, root, rust_files};

/// Home-made words for which the field has a standard term, and clauses for which there is a noun.
const UNWANTED: &str = "\
    anew, anybody, as it should be, bear, bears, buried, cycles, dawdle, door, doors, ears, enlist, everybody, evict, \
    faltering, forgive, gate, gossip, hopeless, horizon, hot document, index that lists read, is owed until, judge, judged, \
    kept for a way back, lanes, look after, look again, looks how, manners, mends, misfit, nobody, one's own desk, outlet, \
    revive, sight, slow lane, somebody, spare, standing, swept, taken back, tend, thaw, the index before, unbury, way back, \
    whoever";

/// Passwords that are refused; their words are not this project's.
const PASSWORDS: &str = "src/auth/common_passwords.txt";

/// Source, documents and scripts, but for this file, which names the words.
fn texts() -> impl Iterator<Item = (String, String)> {
    let folders = ["src", "tests", "bin", "migrations", "index-templates", "docs", ".ci"].into_iter().flat_map(files);
    let single = ["README.md", "Cargo.toml", "Dockerfile", "docker-compose.yml"];
    let single = single.map(|path| (path.to_owned(), fs::read_to_string(root().join(path)).unwrap()));
    folders.chain(single).filter(|(path, _)| path != "tests/it/tidy/words.rs" && path != PASSWORDS)
}

/// The unwanted words in a text, also as parts of identifiers.
fn unwanted(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let is_word = |at: usize, word: &str| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(char::is_alphabetic) && !after.starts_with(char::is_alphabetic)
    };
    UNWANTED.split(", ").filter(|word| text.match_indices(word).any(|(at, _)| is_word(at, word))).collect()
}

#[test]
fn the_words_are_those_of_the_field() {
    let found: Vec<String> =
        texts().flat_map(|(path, text)| unwanted(&text).into_iter().map(move |word| format!("{path}: {word}"))).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn planted_words_are_found() {
    assert_eq!(unwanted("fn an_outlet_opens() {}"), ["outlet"]);
    assert_eq!(unwanted("The Index That Lists Read"), ["index that lists read"]);
    assert_eq!(unwanted("outlets and thawing"), Vec::<&str>::new());
}

#[test]
fn nothing_names_a_machine_or_leaves_work_undone() {
    let banned = ["/work/", "/root/", "/home/", "TODO", "FIXME", "todo!(", "unimplemented!("];
    let mut found = Vec::new();
    for (path, text) in texts() {
        for word in banned {
            found.extend(text.contains(word).then(|| format!("{path} contains {word}")));
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
    let planted = "what 10-performance asks for, as in `5-sync.md`; not the 8-byte word of 15-sync_test";
    assert_eq!(chapters_named(planted).collect::<Vec<_>>(), ["10-performance", "5-sync"]);
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
