//! Rooms point one way, and no modules depend on each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::files;

/// The rooms and their floors; see the map in `src/lib.rs`. A room uses only rooms on lower floors; the plain types of the ground
/// floor may use one another.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["config", "error", "values", "validate", "operation", "metrics", "telemetry", "threads", "turns", "failpoint"]),
    (1, &["db", "search", "freshness", "cache", "feed", "outgoing", "audit", "rate_limits", "usage", "sheets"]),
    (2, &["app"]),
    (3, &["http"]),
    (4, &["api", "jobs"]),
    (5, &["auth", "storage"]),
    (6, &["features"]),
    (7, &["collections"]),
    (8, &["sync", "imports", "exports", "saved_searches", "universal", "notifications", "openapi", "realtime", "kibana"]),
    (9, &["health", "dashboard"]),
    (10, &["server", "worker"]),
    (11, &["cli", "main"]),
];

/// The features in their order: each uses only those before it.
const FEATURES: [&str; 11] =
    ["resource", "audit", "users", "jobs", "ledger", "customers", "accounts", "payments", "activities", "timeline", "analytics"];

/// Macros, which Rust exports at the root of the crate.
const MACROS: [&str; 3] = ["fields", "routes", "words"];

/// The code of a file, without comments and tests.
fn code(text: &str) -> String {
    let text = text.split("mod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The paths of a text that begin with `crate::` or `super::`, those in the braces of a grouped `use` too.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in text.match_indices(root) {
            if !text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '$' | ':' | '_')) {
                tree(&text[at..], "", &mut found);
            }
        }
    }
    found
}

/// Reads one path with its groups; returns how many bytes it takes.
fn tree(text: &str, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut at = 0;
    loop {
        at += text[at..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len() - at);
        if text[at..].starts_with("::{") {
            let prefix = format!("{prefix}{}::", &text[..at]);
            at += 3;
            while let Some(next) = text[at..].chars().next() {
                match next {
                    '}' => return at + 1,
                    next if next.is_alphabetic() => at += tree(&text[at..], &prefix, found),
                    next => at += next.len_utf8(),
                }
            }
            return at;
        }
        if !text[at..].starts_with("::") {
            found.push(format!("{prefix}{}", &text[..at]));
            return at;
        }
        at += 2;
    }
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The uses in a room's text that go sideways or up.
fn wrong_uses(room: &str, text: &str) -> Vec<String> {
    let floor = floor_of(room).unwrap_or_else(|| panic!("room {room} has no floor in FLOORS"));
    let paths = paths(&code(text));
    let used: BTreeSet<&str> = paths.iter().filter_map(|path| path.strip_prefix("crate::")?.split("::").next()).collect();
    let is_wrong = |used: &str| match floor_of(used) {
        Some(other) => other >= floor && other > 0,
        None => !MACROS.contains(&used),
    };
    used.into_iter().filter(|used| *used != room && is_wrong(used)).map(str::to_owned).collect()
}

/// The modules of the crate with their code.
fn modules() -> BTreeMap<String, String> {
    let name =
        |path: &str| path.strip_prefix("src/")?.strip_suffix(".rs").map(|path| path.trim_end_matches("/mod").replace('/', "::"));
    files("src").into_iter().filter_map(|(path, text)| Some((name(&path)?, text))).filter(|(name, _)| name != "lib").collect()
}

/// The modules that each module uses. What a module uses of those that contain it is not counted.
fn uses(modules: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let used = |module: &str, path: &str| {
        let path = match path.strip_prefix("crate::") {
            Some(path) => path.to_owned(),
            None => {
                let rest = path.trim_start_matches("super::");
                let supers = (path.len() - rest.len()) / "super::".len();
                let outer: Vec<&str> = module.split("::").collect();
                [&outer[..outer.len().checked_sub(supers)?], &[rest]].concat().join("::")
            }
        };
        let is_prefix = |known: &&str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        let known = modules.keys().map(String::as_str).filter(is_prefix).max_by_key(|known| known.len())?;
        (known != module && !module.starts_with(&format!("{known}::"))).then_some(known)
    };
    let uses_of = |module: &str, text: &str| paths(&code(text)).iter().filter_map(|path| used(module, path)).collect();
    modules.iter().map(|(module, text)| (module.as_str(), uses_of(module, text))).collect()
}

/// The modules that are in circles, or between circles: those that stay when all that use nothing, or are not used, are removed.
fn circles(mut uses: BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    loop {
        let used: BTreeSet<&str> = uses.values().flatten().copied().collect();
        let before = uses.len();
        uses.retain(|module, uses| !uses.is_empty() && used.contains(module));
        let left: BTreeSet<&str> = uses.keys().copied().collect();
        uses.values_mut().for_each(|uses| uses.retain(|used| left.contains(used)));
        if uses.len() == before {
            return uses.into_keys().map(str::to_owned).collect();
        }
    }
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    let mut wrong = Vec::new();
    for (module, text) in modules() {
        let room = module.split("::").next().unwrap();
        wrong.extend(wrong_uses(room, &text).into_iter().map(|used| format!("{module} uses {used}")));
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
fn no_modules_use_each_other_in_a_circle() {
    assert_eq!(circles(uses(&modules())), Vec::<String>::new());
}

#[test]
fn a_planted_circle_is_found() {
    let planted = [
        ("a", "use crate::b::{self, One as Two};"),
        ("b", "use crate::{c::d::{Three, four}, e};"),
        ("c::d", "fn f() { super::super::a::go() }"),
        ("e", "// use crate::a;\nmod tests { use crate::a; }"),
    ];
    let planted = planted.map(|(module, text)| (module.to_owned(), text.to_owned())).into();
    assert_eq!(circles(uses(&planted)), ["a", "b", "c::d"]);
}

#[test]
fn features_use_only_features_before_them() {
    let modules = modules();
    let feature = |module: &str| module.strip_prefix("features::")?.split("::").next().map(str::to_owned);
    let place = |feature: &str| FEATURES.iter().position(|known| *known == feature).expect("a feature is in FEATURES");
    let mut wrong = Vec::new();
    for (module, used) in uses(&modules) {
        let Some(own) = feature(module) else { continue };
        let later = used.into_iter().filter(|used| feature(used).is_some_and(|used| place(&used) > place(&own)));
        wrong.extend(later.map(|used| format!("{module} uses {used}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}
