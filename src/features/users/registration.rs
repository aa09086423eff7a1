//! New users who make themselves: registration, and invitations to it.

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::header::LOCATION;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::requests::{NewInvitation, Registration as Registering};
use super::rules::{self, NAME};
use super::tokens::{self, Purpose, Token};
use super::user::User;
use super::{routes, store};
use crate::api::{Contended, Reply, Request, fields, json};
use crate::app::App;
use crate::auth::Permission::{Administer, Supervise};
use crate::auth::{self, Caller, Role, SignedIn, credentials, limited, may};
use crate::config::Registration;
use crate::error::{Error, Result, Violations};
use crate::http::Routes;
use crate::operation::{Answers, Created, Operation};
use crate::routes;
use crate::values::clock::milliseconds;
use crate::values::ids::{self, UserId};

/// Bytes of a registration: names of the most characters, and a password of the most bytes, some of them escaped.
const BODY_BYTES: u64 = 8 * 1024;

pub(super) fn registration_routes(app: &App) -> Routes {
    routes! { app, "auth";
        /// Makes a user and signs the user in.
        post ("register") limited up_to(BODY_BYTES) => register: Registering -> Created<SignedIn>;
    }
}

pub(super) fn invitation_routes(app: &App) -> Routes {
    routes! { app, "users";
        /// Mails an invitation to register.
        post ("invitations") may(Supervise) => invite: NewInvitation -> Invited;
    }
}

/// Makes a user and signs the user in. Who may is a matter of `REGISTRATION`, of an invitation, or of being an admin, who alone can
/// name another role than viewer.
async fn register(mut request: Request) -> Result<Reply> {
    let caller = auth::caller(&request).await?.filter(|caller| caller.has(Administer));
    let (mut body, mut violations) = (request.object().await?, Violations::default());
    let secret = fields::take::<String>(&mut body, "invitation", &mut violations).value();
    let invitation = admit(&request, secret, caller.as_ref()).await?;
    if let Some(invitation) = &invitation {
        body.insert("email".to_owned(), invitation.email.clone().into());
    }
    if caller.is_none() {
        body.remove("role");
    }
    let mut user = User::read_new(&mut body, &mut violations);
    user.apply_role(&mut body, &mut violations);
    let password = routes::take_password(&mut body, &user, &mut violations);
    fields::refuse_unknown(&body, &mut violations);
    violations.check()?;
    user.created_at = request.app.clock.now();
    user.created_by = caller.map(|caller| caller.id.0);
    if let Some(invitation) = &invitation {
        user.role = invitation.role.unwrap_or_default();
        user.created_by = invitation.created_by;
    }
    let hash = routes::hash(&request, password).await?;
    // Without an idempotency key: the answer has tokens, which are stored nowhere.
    let mut transaction = request.app.db.server.begin().await?;
    if let Some(invitation) = &invitation
        && !tokens::redeem(&mut *transaction, invitation.id, user.created_at).await?
    {
        return Err(bad_invitation());
    }
    store::create(&mut *transaction, &user, &hash).await?;
    transaction.commit().await?;
    let user = credentials::by_id(&request.app.db.server, UserId(user.id)).await?.ok_or(Error::NotFound(NAME))?;
    let location = format!("/api/v1/users/{}", user.id);
    let signed_in = auth::sign_in(&request, user).await?;
    Ok(json(&signed_in)?.with(LOCATION, &location).with_status(StatusCode::CREATED))
}

/// Finds the invitation of a registration; fails if there has to be one.
async fn admit(request: &Request, secret: Option<String>, admin: Option<&Caller>) -> Result<Option<Token>> {
    match (secret, request.app.config.registration()) {
        (Some(secret), Registration::Open | Registration::Invite) => {
            let found = tokens::find(request, Purpose::Invitation, &secret).await?;
            found.map(Some).ok_or_else(bad_invitation)
        }
        (None, Registration::Open) => Ok(None),
        (None, _) if admin.is_some() => Ok(None),
        (None, Registration::Invite) => Err(Error::conflict("registration_closed", "registration needs an invitation")),
        (_, Registration::Off) => Err(registration_off()),
    }
}

fn registration_off() -> Error {
    Error::conflict("registration_closed", "users do not register here; an admin makes them")
}

fn bad_invitation() -> Error {
    Error::invalid("/invitation", "bad_token", "is not valid, or not any more; ask for a new one")
}

/// An invitation without its secret, which is mailed.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    id: Uuid,
    email: Option<String>,
    role: Role,
    #[serde(serialize_with = "milliseconds")]
    expires_at: DateTime<Utc>,
}

/// 201 with an invitation, which has no address.
struct Invited;

impl Answers for Invited {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<Invitation>();
        operation.status = 201;
    }
}

/// Mails a token with which the owner of an address becomes a user with a role. It replaces earlier ones to the same address.
async fn invite(caller: Caller, mut request: Request) -> Result<Reply> {
    let (mut body, mut violations) = (request.object().await?, Violations::default());
    let mut guest = User::default();
    guest.apply_own(&mut body, &mut violations);
    guest.apply_role(&mut body, &mut violations);
    if guest.email.is_none() && violations.is_empty() {
        violations.add("/email", "required", "is missing");
    }
    fields::refuse_unknown(&body, &mut violations);
    violations.check()?;
    rules::check_gives(&rules::managed_roles(&request.app.db.read, &caller).await?, guest.role)?;
    if request.app.config.registration() == Registration::Off {
        return Err(registration_off());
    }
    let (email, now) = (guest.email.clone().unwrap_or_default(), request.app.clock.now());
    request
        .write(caller.id, Contended::Nothing, async |connection| {
            if store::has_email(&mut *connection, &email).await? {
                return Err(store::email_taken());
            }
            let id = ids::new();
            let expires_at = tokens::invite(connection, id, &email, guest.role, caller.id, now).await?;
            let reply = json(&Invitation { id, email: guest.email.clone(), role: guest.role, expires_at })?;
            Ok(reply.with_status(StatusCode::CREATED))
        })
        .await
}
