//! Leadership: election, leader session, followers, detection of a database that went back.

pub mod election;
pub mod follower;
pub mod high_water_mark;
mod problem;
mod session;
