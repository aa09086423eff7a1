//! Search: what a collection is, how lists are filtered and sorted, and the engines that answer them.

pub mod aggregate;
mod collection;
pub mod cursor;
pub mod document;
pub mod elastic;
pub mod explain;
mod field;
pub mod filter;
mod indices;
pub mod mapping;
pub mod masking;
pub mod parse;
mod phrase;
mod postgres;
pub mod query;
mod ranking;
mod router;
pub mod rows;
mod template;

pub use collection::{Collection, Compares, Computed, Include, Join, Load, Loaded, PastDue, Source};
pub use cursor::Place;
pub use elastic::{Elastic, ElasticError};
pub use field::{Access, Cell, Endings, Field, FieldKind, field};
pub use filter::Filter;
pub use indices::{bulk, high_water_mark, index, inventory, shard_checkpoints};
pub use phrase::{Name, Phrase, Terms};
pub use postgres::matching;
pub use query::Engine;
pub use router::{Answer, Asked, Bookmark, ListedIndex, Reading, Search, Walk};
pub use template::{Difference, Template};
