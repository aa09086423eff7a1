//! How current the index is and whether lists may read it: what the sync states, what this server has seen, and how reads wait for
//! their own writes.

mod index;
pub mod status;
mod timeline;
mod watermark;
mod written;

pub use index::{Identity, IndexState, LiveIndex, Reached, Statement, Unusable};
pub use timeline::Timeline;
pub use watermark::Watermark;
pub use written::Written;
