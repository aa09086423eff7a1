//! Tickets: what a web page opens a socket with.
//!
//! A browser sends no headers of the page's choice with the request that opens a socket, and what stands in an address gets into logs.
//! So a page exchanges its access token for a ticket that is good once, and for seconds.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::auth::access::{self, Caller, Credential};
use crate::auth::token::TokenIdentity;
use crate::error::{Error, Result};
use crate::values::clock::milliseconds;
use crate::values::ids::{self, SessionId, UserId};

/// How long a ticket is good: the page opens its socket at once.
const LIFE: TimeDelta = TimeDelta::seconds(30);

/// What a socket is opened with, once: `?ticket=`.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::auth) struct Ticket {
    ticket: String,
    #[serde(serialize_with = "milliseconds")]
    expires_at: DateTime<Utc>,
}

/// Makes a ticket, which lasts no longer than the token that asks for it; an API key gets none, because machines send headers.
pub(in crate::auth) async fn issue(app: &App, caller: &Caller) -> Result<Ticket> {
    let Credential::Session { id, until } = caller.credential else { return Err(Error::SessionRequired) };
    let (ticket, expires_at) = (ids::secret(), until.min(app.clock.now() + LIFE));
    sqlx::query!(
        "insert into tickets (hash, session_id, token_expires_at, expires_at) values ($1, $2, $3, $4)",
        hash(&ticket),
        id.0,
        until,
        expires_at,
    )
    .execute(&app.db.server)
    .await?;
    Ok(Ticket { ticket, expires_at })
}

/// Uses up a ticket. The caller is good for as long as the token that asked for it.
pub async fn redeem(app: &App, ticket: &str) -> Result<Caller> {
    const REFUSED: Error = Error::Unauthenticated("this ticket is not valid, or not any more: POST /auth/ticket makes one");
    let used = sqlx::query!(
        r#"
        delete from tickets t
        using sessions s
        where t.hash = $1
        and t.expires_at > $2
        and s.id = t.session_id
        returning s.id as "session: SessionId", s.user_id as "user: UserId", t.token_expires_at
        "#,
        hash(ticket),
        app.clock.now(),
    );
    let used = used.fetch_optional(&app.db.server).await?.ok_or(REFUSED)?;
    let identity = TokenIdentity { user: used.user, session: used.session };
    access::of_session(app, identity, used.token_expires_at).await?.ok_or(REFUSED)
}

fn hash(ticket: &str) -> Vec<u8> {
    Sha256::digest(ticket).to_vec()
}
