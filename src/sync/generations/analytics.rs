//! Follows the setting `ANALYTICS`: indices for analysts that were built with another one are removed.
//!
//! What was missed while they were off, or what they may no longer say, is nowhere then; those that are wanted are built as any index
//! that is missing.

use tracing::info;

use super::alias;
use crate::app::App;
use crate::collections;
use crate::sync::store::{analytics, generations};
use crate::sync::writer::Writer;

pub(super) async fn follow_setting(app: &App, writer: &Writer) -> anyhow::Result<()> {
    let (pool, setting) = (&app.db.sync, app.config.search.analytics.name());
    if analytics::setting(pool).await? == setting {
        return Ok(());
    }
    let names = collections::ANALYTICS.map(|collection| collection.name);
    for generation in generations::all(pool).await? {
        if names.contains(&generation.collection.as_str()) {
            alias::delete(app, writer, &generation.index).await?;
        }
    }
    analytics::begin(pool, &names.map(str::to_owned), setting).await?;
    info!(setting, "the setting ANALYTICS has changed");
    Ok(())
}
