//! Route tables. They read as the access matrix: method, path, permission, handler, and what it takes and answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;

use super::{Protocol, Response, unmatched};
use crate::operation::Operation;

/// Routes, and what is asked before them.
#[derive(Clone)]
pub struct Routes {
    pub routes: Vec<Route>,
    pub protocols: Vec<Arc<dyn Protocol>>,
}

/// A row of a table, and what answers it.
#[derive(Clone)]
pub struct Route {
    pub row: Row,
    /// Rejects requests that do not belong to the row.
    pub filter: BoxedFilter<(Response,)>,
}

/// What a route is, without what answers it.
#[derive(Clone, Debug)]
pub struct Row {
    /// `GET`, `POST`, …
    pub method: String,
    /// Such as `/accounts/{AccountId}`.
    pub path: String,
    /// The permission that it needs, or `public`.
    pub access: &'static str,
    /// What method and path do not say, in sentences.
    pub about: &'static str,
    /// Says what it takes and what it answers.
    pub describe: fn(&mut Operation<'_>),
}

impl Row {
    /// Describes a row of `routes!` by its tokens.
    #[must_use]
    pub fn new(
        prefix: &str,
        method: &str,
        path: &str,
        access: &'static str,
        about: &'static str,
        describe: fn(&mut Operation<'_>),
    ) -> Self {
        let segments = path.trim_matches(['(', ')']).split('/').map(str::trim).filter(|segment| !segment.is_empty());
        let mut address = format!("/{prefix}");
        for segment in segments {
            address.push('/');
            match segment.strip_prefix('"').and_then(|literal| literal.strip_suffix('"')) {
                Some(literal) => address.push_str(literal),
                None => address.push_str(&format!("{{{segment}}}")),
            }
        }
        Self { method: method.to_uppercase(), path: address, access, about, describe }
    }
}

impl Routes {
    #[must_use]
    pub fn join(groups: Vec<Self>) -> Self {
        let (routes, protocols): (Vec<_>, Vec<_>) = groups.into_iter().map(|group| (group.routes, group.protocols)).unzip();
        Self { routes: routes.concat(), protocols: protocols.concat() }
    }

    /// The rows of all routes.
    #[must_use]
    pub fn table(&self) -> Vec<Row> {
        self.routes.iter().map(|route| route.row.clone()).collect()
    }

    /// Adds a protocol beside the table.
    #[must_use]
    pub fn with_protocol(mut self, protocol: impl Protocol + 'static) -> Self {
        self.protocols.push(Arc::new(protocol));
        self
    }

    /// Puts all routes under a prefix, such as `api/v1`.
    #[must_use]
    pub fn under(&self, prefix: &'static str) -> Self {
        let path = prefix.split('/').fold(warp::any().boxed(), |path, segment| path.and(warp::path(segment)).boxed());
        let moved = |route: &Route| Route {
            row: Row { path: format!("/{prefix}{}", route.row.path), ..route.row.clone() },
            filter: path.clone().and(route.filter.clone()).boxed(),
        };
        Self { routes: self.routes.iter().map(moved).collect(), protocols: self.protocols.clone() }
    }

    /// Does something to every answer.
    #[must_use]
    pub fn map(mut self, change: impl Fn(Response) -> Response + Clone + Send + Sync + 'static) -> Self {
        for route in &mut self.routes {
            route.filter = route.filter.clone().map(change.clone()).boxed();
        }
        self
    }
}

/// All addresses. A request goes to the routes of its address alone: through a filter of all of them it would take a tenth of the
/// time of a list.
pub(crate) struct Table {
    /// Those without typed segments, by their patterns.
    literal: HashMap<String, Address>,
    typed: Vec<Address>,
}

/// An address: the name of its requests in logs and metrics, its methods, and what answers them.
pub(crate) struct Address {
    /// Such as `/api/v1/accounts/{AccountId}`.
    pub(crate) pattern: String,
    /// The value of an `Allow` header.
    pub(crate) allow: String,
    /// Answers every request.
    pub(crate) filter: BoxedFilter<(Response,)>,
}

impl Table {
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        let mut addresses: BTreeMap<String, Vec<Route>> = BTreeMap::new();
        for route in routes {
            addresses.entry(route.row.path.clone()).or_default().push(route);
        }
        let addresses = addresses.into_iter().filter_map(|(pattern, routes)| Address::new(pattern, routes));
        let (typed, literal): (Vec<_>, Vec<_>) = addresses.partition(|address| address.pattern.contains('{'));
        Self { literal: literal.into_iter().map(|address| (address.pattern.clone(), address)).collect(), typed }
    }

    /// The address of a path. Literal segments win over typed ones.
    pub(crate) fn find(&self, path: &str) -> Option<&Address> {
        let path = path.strip_suffix('/').unwrap_or(path);
        self.literal.get(path).or_else(|| self.typed.iter().find(|address| address.is_of(path)))
    }
}

impl Address {
    /// None without a route.
    fn new(pattern: String, routes: Vec<Route>) -> Option<Self> {
        let mut methods = BTreeSet::from(["OPTIONS"]);
        for Route { row, .. } in &routes {
            methods.insert(&row.method);
            if row.method == "GET" {
                methods.insert("HEAD");
            }
        }
        let allow = methods.into_iter().collect::<Vec<_>>().join(", ");
        let filter = routes.into_iter().map(|route| route.filter).reduce(|all, next| all.or(next).unify().boxed())?;
        Some(Self { pattern, allow, filter: filter.recover(unmatched::recover).unify().boxed() })
    }

    fn is_of(&self, path: &str) -> bool {
        let (mut wanted, mut given) = (self.pattern.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
                _ => return false,
            }
        }
    }
}
