//! Leadership: election, leader session, followers and what they check, detection of missed changes and of a database that went back.

mod continuity;
pub mod election;
pub mod follower;
pub mod high_water_mark;
pub mod identity;
mod problem;
mod session;
