//! Opens the application for a command, and says what is wrong if it cannot work.

use crate::app::App;
use crate::config::Config;
use crate::db;
use crate::error::is_away;
use crate::values::clock::Clock;

/// Opens the application if Postgres answers: a pool would only say that it waited for a connection in vain.
pub(super) async fn open(config: Config) -> anyhow::Result<App> {
    let app = App::open(config, Clock::default())?;
    db::check(&app.config.database, false).await?;
    Ok(app)
}

/// Describes an error for the operator.
pub(super) fn describe(error: &anyhow::Error) -> String {
    match error.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>()) {
        Some(sqlx::Error::PoolTimedOut) => "postgres cannot be reached".to_owned(),
        Some(cause) if is_away(cause) => format!("postgres cannot be reached: {cause}"),
        _ => format!("{error:#}"),
    }
}
