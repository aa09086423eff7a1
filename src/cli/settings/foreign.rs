//! Environment names of other collection systems: taken where the meaning is the same, else answered with a hint.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What one of these names means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Meaning {
    /// The same as a setting.
    Is(&'static str),
    /// A part of an address, which is composed if the setting is absent.
    PartOf(&'static str),
    /// Nothing, for this reason.
    Unused(&'static str),
}

use Meaning::{Is, PartOf, Unused};

/// Of two names with one meaning the first wins; a setting under its own name wins over both.
pub(in crate::cli) const NAMES: &[(&str, Meaning)] = &[
    ("NODE_ENV", Is("APP_ENV")),
    ("DB_HOST", PartOf("DATABASE_URL")),
    ("DB_PORT", PartOf("DATABASE_URL")),
    ("DB_NAME", PartOf("DATABASE_URL")),
    ("DB_DATABASE", PartOf("DATABASE_URL")),
    ("DB_USER", PartOf("DATABASE_URL")),
    ("DB_USERNAME", PartOf("DATABASE_URL")),
    ("DB_PASSWORD", PartOf("DATABASE_URL")),
    ("DB_POOL_MAX", Is("DB_POOL_SIZE")),
    ("MONGODB_POOL_SIZE", Is("DB_POOL_SIZE")),
    ("REDIS_HOST", PartOf("REDIS_URL")),
    ("REDIS_PORT", PartOf("REDIS_URL")),
    ("REDIS_PASSWORD", PartOf("REDIS_URL")),
    ("API_VERSION", Unused("/api/v1 and /api are both served")),
    ("DB_POOL_MIN", Unused("connections are opened when they are needed")),
    ("ENABLE_METRICS", Unused("metrics are always there; ADMIN_PORT moves them to a port of their own")),
    ("HEALTH_CHECK_INTERVAL", Unused("/health looks when it is asked")),
    ("HEALTH_CHECK_TIMEOUT", Unused("/health waits a second for each server")),
    ("JWT_REFRESH_SECRET", Unused("refresh tokens are random and need no key")),
    ("MAX_WORKERS", Unused("one process uses every core; TOKIO_WORKER_THREADS limits it")),
    ("MONGODB_URI", Unused("Postgres holds all data: set DATABASE_URL")),
    ("RABBITMQ_QUEUE_PREFIX", Unused("Postgres holds the queues")),
    ("RABBITMQ_URL", Unused("Postgres holds the queues")),
    ("WS_PORT", Unused("PORT serves everything")),
];

/// What the environment says under these names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Translation {
    /// Settings that are absent under their own names.
    pub(in crate::cli) settings: BTreeMap<&'static str, String>,
    /// One sentence for each name, or address, that has no effect.
    pub(in crate::cli) warnings: Vec<String>,
}

/// Translates variables. Empty ones count as absent, since files of compose leave them empty.
pub(in crate::cli) fn translate(variables: &BTreeMap<String, String>) -> Translation {
    let given = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let mut translation = Translation::default();
    let mut shadowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, meaning) in NAMES {
        let Some(value) = given(name) else { continue };
        match meaning {
            Unused(reason) => translation.warnings.push(format!("{name} is not used: {reason}")),
            Is(own) | PartOf(own) if given(own).is_some() => shadowed.entry(own).or_default().push(name),
            Is(own) => drop(translation.settings.entry(own).or_insert_with(|| value.to_owned())),
            PartOf(own) => {
                let address = if *own == "REDIS_URL" { redis(given) } else { postgres(given) };
                translation.settings.insert(own, address);
            }
        }
    }
    let sentence = |(own, names): (&str, Vec<&str>)| format!("not used beside {own}: {}", names.join(", "));
    translation.warnings.extend(shadowed.into_iter().map(sentence));
    translation
}

fn postgres<'a>(given: impl Fn(&str) -> Option<&'a str>) -> String {
    let user = given("DB_USER").or_else(|| given("DB_USERNAME"));
    let name = given("DB_NAME").or_else(|| given("DB_DATABASE"));
    let server = address("postgres", user, given("DB_PASSWORD"), given("DB_HOST"), given("DB_PORT").unwrap_or("5432"));
    name.map_or(server.clone(), |name| format!("{server}/{}", encoded(name)))
}

fn redis<'a>(given: impl Fn(&str) -> Option<&'a str>) -> String {
    address("redis", None, given("REDIS_PASSWORD"), given("REDIS_HOST"), given("REDIS_PORT").unwrap_or("6379"))
}

fn address(scheme: &str, user: Option<&str>, password: Option<&str>, host: Option<&str>, port: &str) -> String {
    let user = user.map(encoded).unwrap_or_default();
    let password = password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
    let at = if user.is_empty() && password.is_empty() { "" } else { "@" };
    let host = match host.unwrap_or("localhost") {
        // RFC 3986, 3.2.2.
        host if host.contains(':') => format!("[{host}]"),
        host => encoded(host),
    };
    format!("{scheme}://{user}{password}{at}{host}:{port}")
}

/// Encodes all but the unreserved characters (RFC 3986, 2.3).
fn encoded(part: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(part, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], settings: &[(&'static str, &str)], warnings: &[&str]) {
        let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let expected = Translation {
            settings: settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            warnings: warnings.iter().map(|&sentence| sentence.to_owned()).collect(),
        };
        assert_eq!(translate(&given), expected, "{variables:?}");
    }

    #[test]
    fn names_of_other_systems_are_translated() {
        check(&[], &[], &[]);
        check(&[("NODE_ENV", "production"), ("PATH", "/bin")], &[("APP_ENV", "production")], &[]);
        check(&[("NODE_ENV", "test"), ("APP_ENV", "production")], &[], &["not used beside APP_ENV: NODE_ENV"]);
        check(&[("MONGODB_POOL_SIZE", "10"), ("DB_POOL_MAX", "20")], &[("DB_POOL_SIZE", "20")], &[]);
        check(&[("DB_HOST", ""), ("MONGODB_URI", "")], &[], &[]);
    }

    #[test]
    fn addresses_are_composed_of_their_parts() {
        let parts =
            [("DB_HOST", "db"), ("DB_PORT", "5433"), ("DB_NAME", "collections_db"), ("DB_USER", "ann"), ("DB_PASSWORD", "a@b/c")];
        check(&parts, &[("DATABASE_URL", "postgres://ann:a%40b%2Fc@db:5433/collections_db")], &[]);
        let parts = [("DB_DATABASE", "c d"), ("DB_USERNAME", "ann")];
        check(&parts, &[("DATABASE_URL", "postgres://ann@localhost:5432/c%20d")], &[]);
        check(&[("DB_HOST", "::1")], &[("DATABASE_URL", "postgres://[::1]:5432")], &[]);
        check(&[("DB_HOST", "/run/pg")], &[("DATABASE_URL", "postgres://%2Frun%2Fpg:5432")], &[]);
        check(&[("REDIS_HOST", "r"), ("REDIS_PASSWORD", "x:y")], &[("REDIS_URL", "redis://:x%3Ay@r:6379")], &[]);
        let both = [("DATABASE_URL", "postgres://db"), ("DB_HOST", "other"), ("DB_PORT", "1")];
        check(&both, &[], &["not used beside DATABASE_URL: DB_HOST, DB_PORT"]);
    }

    #[test]
    fn every_name_without_use_says_why() {
        for (name, meaning) in NAMES {
            if let Unused(reason) = meaning {
                check(&[(name, "1")], &[], &[&format!("{name} is not used: {reason}")]);
            }
        }
    }
}
