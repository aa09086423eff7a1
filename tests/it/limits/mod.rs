//! Limits: what users and addresses may send, and how many log-ins may fail.

mod lockout;
mod rates;
mod shared;
