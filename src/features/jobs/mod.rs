//! Background jobs as users see and control them; what they do is in the rooms of their kinds.

mod routes;

pub use routes::routes;
