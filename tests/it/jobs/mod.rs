//! Background jobs: once and without gaps whatever is killed, frozen or stopped; control, schedules, addresses and commands.

mod addresses;
mod commands;
mod control;
mod kills;
pub(crate) mod kinds;
mod schedules;
mod workers;
