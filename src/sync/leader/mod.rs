//! Leadership: election, leader session, followers, detection of missed changes and of a database that went back.

mod continuity;
pub mod election;
pub mod follower;
pub mod high_water_mark;
mod problem;
mod session;
