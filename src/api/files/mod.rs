//! Bodies that are files: uploads go to the disk, downloads come as streams, and neither is ever whole in memory.

mod download;
mod form;
mod name;
mod upload;

pub use download::{Sink, file, generated};
pub use form::Form;
pub use upload::Upload;

pub use crate::sheets::Format;
