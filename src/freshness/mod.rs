//! How current the index is: what the sync reports, and how reads wait for their own writes.

pub mod status;
mod watermark;

pub use watermark::Watermark;
