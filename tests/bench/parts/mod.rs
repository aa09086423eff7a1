//! One file per measurement.

pub mod announcements;
pub mod attacks;
pub mod builds;
pub mod bulk_changes;
pub mod coalescing;
pub mod embedded_lists;
pub mod exports;
pub mod express;
pub mod freshness;
pub mod hot_row;
pub mod lists;
pub mod loading;
pub mod overload;
pub mod payment_writes;
pub mod pgsync;
pub mod record_reads;
pub mod reindex;
pub mod reindex_latency;
pub mod resources;
pub mod sockets;
pub mod sync_rate;
pub mod trials;
pub mod typing;
pub mod workbooks;
