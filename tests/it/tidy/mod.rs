//! House rules that a compiler does not check.

mod documents;
mod rooms;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINE_LIMIT: usize = 400;

/// Files of a folder without its `mod.rs`; larger folders get sub-rooms by noun.
const FILE_LIMIT: usize = 12;

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

/// The suite does not build the fuzzer.
#[test]
fn every_path_of_a_module_leads_to_a_file() {
    for (file, text) in rust_files() {
        let folder = root().join(&file).parent().unwrap().to_owned();
        for path in text.lines().filter_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]")) {
            assert!(folder.join(path).is_file(), "{file}: {path}");
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<String> =
        rust_files().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn no_folder_has_more_files_than_the_limit() {
    let mut folders: Vec<PathBuf> = files("src").into_iter().map(|(path, _)| Path::new(&path).with_file_name("")).collect();
    folders.sort();
    let large: Vec<String> = folders
        .chunk_by(|one, other| one == other)
        .map(|folder| (folder[0].display(), folder.len()))
        .filter(|(_, files)| *files > FILE_LIMIT + 1)
        .map(|(folder, files)| format!("{folder}: {files}"))
        .collect();
    assert_eq!(large, Vec::<String>::new());
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
