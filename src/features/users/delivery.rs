//! Mails one-time tokens: outside of every transaction, again after a failure, until they expire.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;

use super::tokens::{self, Due, Purpose};
use crate::app::App;
use crate::error::Result;
use crate::outgoing::Mail;

/// How often the worker looks for mail: a user is waiting.
const INTERVAL: Duration = Duration::from_secs(2);

/// A user gets no second reset within it, so that strangers cannot fill a mailbox.
const QUIET: TimeDelta = TimeDelta::minutes(1);

/// Sends what is due, until the application is stopped.
pub async fn deliver_mail(app: App) -> Result<()> {
    while !app.stop.is_cancelled() {
        deliver_due(&app).await?;
        app.stop.run_until_cancelled(sleep(INTERVAL)).await;
    }
    Ok(())
}

/// Sends what is due now.
pub async fn deliver_due(app: &App) -> Result<()> {
    while !app.stop.is_cancelled()
        && let Some(due) = tokens::take_due(&app.db.server, app.clock.now()).await?
    {
        deliver(app, &due).await?;
        tokens::remove_expired(&app.db.server, app.clock.now()).await?;
    }
    Ok(())
}

async fn deliver(app: &App, due: &Due) -> Result<()> {
    let (db, now) = (&app.db.server, app.clock.now());
    if due.expires_at <= now {
        tracing::warn!(mail = %due.id, purpose = due.purpose.as_str(), "a mail could not be sent in time");
        return Ok(tokens::remove(db, due.id).await?);
    }
    let addressee = match due.purpose {
        Purpose::Reset => tokens::addressee(db, due, now - QUIET).await?,
        Purpose::Invitation => None,
    };
    let Some(to) = addressee.as_ref().map(|user| &user.email).or(due.email.as_ref()) else {
        return Ok(tokens::remove(db, due.id).await?);
    };
    let mut transaction = db.begin().await?;
    let secret = tokens::make_secret(&mut transaction, due.id, addressee.as_ref().map(|user| user.id)).await?;
    transaction.commit().await?;
    let mail = match &addressee {
        Some(user) => Mail { to, subject: "Choose a new password", text: reset_text(&user.username, &secret) },
        None => Mail { to, subject: "You are invited", text: invitation_text(&secret) },
    };
    match app.outgoing.send(mail).await {
        Ok(()) => tokens::sent(db, due, now).await?,
        // It is due again.
        Err(error) => tracing::warn!(mail = %due.id, purpose = due.purpose.as_str(), %error, "cannot send a mail yet"),
    }
    Ok(())
}

fn reset_text(username: &str, token: &str) -> String {
    format!(
        "A new password was asked for, for the user {username}. With this token you choose one within 30 minutes:\n\n\
         {token}\n\n\
         If you have not asked for it, ignore this mail: the password stays as it is.\n"
    )
}

fn invitation_text(token: &str) -> String {
    format!("You are invited to use Collections. With this token you register within 7 days:\n\n{token}\n")
}
