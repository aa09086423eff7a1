//! Customers: the people and companies that owe.

mod bulk;
mod contact_rows;
mod contacts;
mod customer;
mod fields;
mod parts;
mod requests;
mod routes;
mod rules;

pub use customer::Customer;
pub use fields::COLLECTION;
pub use requests::CustomerOfAccount;
pub use routes::routes;
pub use rules::{Debt, change, create, insert_all, remove, restore};
