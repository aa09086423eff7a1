//! Administration of indices: generations and their alias, bulk writes, what an index holds, and how far it has got.

pub mod bulk;
pub mod high_water_mark;
pub mod index;
pub mod inventory;
pub mod shard_checkpoints;
