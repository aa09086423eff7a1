//! The sync, from a commit to a document.

pub(crate) mod backlog;
pub(crate) mod counts;
pub(crate) mod decoder;
pub(crate) mod detection;
pub(crate) mod documents;
pub(crate) mod faults;
pub(crate) mod hazards;
pub(crate) mod leaders;
pub(crate) mod linger;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod reindex;
pub(crate) mod reindex_control;
pub(crate) mod reindex_failures;
pub(crate) mod simulation;
pub(crate) mod verify;
