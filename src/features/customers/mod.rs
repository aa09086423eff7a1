//! Customers: the people and companies that owe.

mod contact_rows;
mod contacts;
pub mod document;
mod fields;
mod insert;
mod parts;
mod patch;
mod routes;
pub mod store;

pub use contacts::{AddressPatch, ContactPatch};
pub use fields::COLLECTION;
pub use patch::{Debt, Patch};
pub use routes::routes;
