//! Route tables: each row is a method, a path, who may use it and the handler, and reads as the access matrix.

use std::collections::{BTreeMap, BTreeSet};

use warp::Filter;
use warp::filters::BoxedFilter;

use super::Response;

/// Groups of rows, and what is known about them.
#[derive(Clone)]
pub struct Routes {
    /// Answers the requests of its rows; rejects all others.
    pub filter: BoxedFilter<(Response,)>,
    /// The rows, for `Allow`, the access matrix and the documentation.
    pub table: Vec<Row>,
}

/// What is known about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `GET`, `POST`, …
    pub method: String,
    /// Segments below the version prefix; a typed segment is `{AccountId}`.
    pub path: String,
    /// The permission that it needs, or `public`.
    pub access: &'static str,
}

impl Row {
    /// Describes a row from its tokens in the table.
    #[must_use]
    pub fn new(prefix: &str, method: &str, path: &str, access: &'static str) -> Self {
        let segments = path.trim_matches(['(', ')']).split('/').map(str::trim).filter(|segment| !segment.is_empty());
        let mut address = format!("/{prefix}");
        for segment in segments {
            address.push('/');
            match segment.strip_prefix('"').and_then(|literal| literal.strip_suffix('"')) {
                Some(literal) => address.push_str(literal),
                None => address.push_str(&format!("{{{segment}}}")),
            }
        }
        Self { method: method.to_uppercase(), path: address, access }
    }
}

impl Routes {
    /// Puts groups side by side.
    #[must_use]
    pub fn join(groups: Vec<Self>) -> Self {
        let (filters, tables): (Vec<_>, Vec<_>) = groups.into_iter().map(|group| (group.filter, group.table)).unzip();
        Self { filter: one_of(filters), table: tables.concat() }
    }

    /// Moves everything below a prefix, such as `api/v1`.
    #[must_use]
    pub fn below(&self, prefix: &'static str) -> Self {
        let path = prefix.split('/').map(|segment| warp::path(segment).boxed()).reduce(|path, next| path.and(next).boxed());
        let filter = path.map_or_else(|| self.filter.clone(), |path| path.and(self.filter.clone()).boxed());
        let moved = |row: &Row| Row { path: format!("/{prefix}{}", row.path), ..row.clone() };
        Self { filter, table: self.table.iter().map(moved).collect() }
    }
}

/// The addresses of all rows: what a request is called in logs and metrics, and which methods its address takes.
pub(crate) struct Table(Vec<Address>);

/// One address with typed segments.
pub(crate) struct Address {
    /// Such as `/api/v1/accounts/{AccountId}`.
    pub(crate) pattern: String,
    /// The value of an `Allow` header.
    pub(crate) allow: String,
}

impl Table {
    pub(crate) fn new(rows: &[Row]) -> Self {
        let mut methods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in rows {
            let taken = methods.entry(&row.path).or_insert_with(|| BTreeSet::from(["OPTIONS"]));
            taken.insert(&row.method);
            if row.method == "GET" {
                taken.insert("HEAD");
            }
        }
        let address = |(pattern, methods): (&str, BTreeSet<&str>)| {
            let allow = methods.into_iter().collect::<Vec<_>>().join(", ");
            Address { pattern: pattern.to_owned(), allow }
        };
        let mut addresses: Vec<Address> = methods.into_iter().map(address).collect();
        // Literal segments win over typed ones.
        addresses.sort_by_key(|address| address.pattern.matches('{').count());
        Self(addresses)
    }

    /// Finds the address that a path belongs to.
    pub(crate) fn find(&self, path: &str) -> Option<&Address> {
        let path = path.strip_suffix('/').unwrap_or(path);
        self.0.iter().find(|address| {
            let mut wanted = address.pattern.split('/');
            let mut given = path.split('/');
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
                    _ => return false,
                }
            }
        })
    }
}

/// Tries the filters in order. Rows of different groups are kept apart by their prefix, which makes routing quick.
///
/// # Panics
/// Never with at least one filter; an empty list is a mistake in the program and answers nothing.
#[must_use]
pub fn one_of(filters: Vec<BoxedFilter<(Response,)>>) -> BoxedFilter<(Response,)> {
    let nothing = warp::any().and_then(|| async { Err::<Response, _>(warp::reject::not_found()) }).boxed();
    filters.into_iter().reduce(|all, next| all.or(next).unify().boxed()).unwrap_or(nothing)
}
