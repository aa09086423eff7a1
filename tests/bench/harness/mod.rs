//! Shared by all parts: the sandbox, the server under test, loads, references and the report.

pub mod bulk;
pub mod catch_up;
pub mod context;
pub mod cpu;
pub mod http;
pub mod machine;
pub mod report;
pub mod rows;
pub mod sandbox;
pub mod server;
pub mod sizes;
pub mod verify;
