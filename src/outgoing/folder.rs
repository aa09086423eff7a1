//! Mail as files, for developers and tests.

use std::path::PathBuf;

use lettre::Message;
use tokio::fs;

use super::Failure;
use crate::values::ids;

/// A folder that mail is written to: one file for each, named so that the newest is the last.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) async fn write(&self, message: &Message) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::File(error.kind());
        fs::create_dir_all(&self.0).await.map_err(failed)?;
        let path = self.0.join(format!("{}.eml", ids::new()));
        // A reader never finds half a mail.
        let unfinished = path.with_extension("part");
        fs::write(&unfinished, message.formatted()).await.map_err(failed)?;
        fs::rename(&unfinished, &path).await.map_err(failed)
    }
}
