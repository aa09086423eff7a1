//! Leadership: election, leader session, followers and what they check, detection of a database that went back.

pub mod election;
pub mod follower;
pub mod high_water_mark;
pub mod identity;
mod problem;
mod session;
