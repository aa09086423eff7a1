//! Settings from a file, and `collections settings`, which documents them all.

mod foreign;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, bail};
use clap::{Arg, Command};

use foreign::Meaning;
pub(super) use foreign::translate;

/// Reads a file of `KEY=value` lines. Refuses keys that the command does not know.
pub(super) fn read_file(command: &Command, path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut known = names(command);
    known.extend(foreign::NAMES.iter().map(|(name, _)| (*name).to_owned()));
    let mut values = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{}, line {number}", path.display());
        let (key, value) = line.split_once('=').with_context(|| format!("{}: expected KEY=value", place()))?;
        let key = key.trim();
        if !known.contains(key) {
            let hint = nearest(key, &known).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            bail!("{}: unknown setting {key}{hint}", place());
        }
        values.insert(key.to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(values)
}

/// Uses values as defaults, which environment and command line override.
pub(super) fn with_defaults(command: Command, values: impl IntoIterator<Item = (String, String)>) -> Command {
    // clap wants static defaults; a process reads its few settings once.
    values.into_iter().fold(command, |command, (key, value)| with_default(command, &key, value.leak()))
}

/// Returns the value of `--config`, before the other arguments are parsed with its defaults.
pub(super) fn file_argument(arguments: &[OsString]) -> Option<&Path> {
    let mut arguments = arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if text == "--config" {
            return arguments.next().map(Path::new);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(Path::new(path));
        }
    }
    None
}

/// Returns environment variables that look like mistyped settings, with the probable name.
pub(super) fn suspects(command: &Command, environment: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let known = names(command);
    let is_foreign = |name: &str| foreign::NAMES.iter().any(|(foreign, _)| *foreign == name);
    let unknown = environment.filter(|name| !known.contains(name) && !is_foreign(name));
    unknown.filter_map(|name| nearest(&name, &known).map(|meant| (name.clone(), meant.to_owned()))).collect()
}

const HEAD: &str = "# Settings

`collections settings` prints this page. Every setting is an environment variable and a flag of the same meaning
(`collections serve --help`). `--config FILE` reads a file of `NAME=value` lines; the environment and the command line win
over it, and unknown names are refused. Durations have a unit: `500ms`, `15m`, `2h`.

| variable | default | meaning |
|---|---|---|
";

const FOREIGN_HEAD: &str = "
## Names of other systems

Environments and files that were written for other collection systems may stay as they are. A setting under its own name wins; a name that
has no effect is answered with a warning at the start.

| variable | here |
|---|---|
";

/// All settings as a Markdown page, `docs/settings.md`.
pub(super) fn page(command: &Command) -> String {
    let mut text = HEAD.to_owned();
    let Some(serve) = command.find_subcommand("serve") else { return text };
    for argument in serve.get_arguments() {
        let Some(name) = env_name(argument) else { continue };
        let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if default.is_empty() { String::new() } else { format!("`{}`", default.join(",")) };
        let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("| `{name}` | {default} | {meaning} |\n"));
    }
    text.push_str(FOREIGN_HEAD);
    for (name, meaning) in foreign::NAMES {
        let meaning = match meaning {
            Meaning::Is(own) => format!("`{own}`"),
            Meaning::PartOf(own) => format!("a part of `{own}`"),
            Meaning::Unused(reason) => format!("not used: {reason}"),
        };
        text.push_str(&format!("| `{name}` | {meaning} |\n"));
    }
    text
}

fn names(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(env_name).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(names)).collect()
}

fn env_name(argument: &Arg) -> Option<&str> {
    argument.get_env()?.to_str()
}

/// Returns the known name within two typing errors; short names have too many neighbours.
fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let distance = |one: &&String| strsim::damerau_levenshtein(one, name);
    known.iter().min_by_key(distance).filter(|one| name.len() >= 6 && distance(one) <= 2).map(String::as_str)
}

fn with_default(command: Command, key: &str, value: &'static str) -> Command {
    let commands: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = command.mut_args(|argument| match env_name(&argument) {
        Some(name) if name == key => argument.default_value(value).hide_default_value(true).required(false),
        _ => argument,
    });
    commands.into_iter().fold(command, |command, name| command.mut_subcommand(name, |inner| with_default(inner, key, value)))
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}
