//! Universal search: one text asks every collection that the caller may read, and each answers with its best hits.

mod ask;
mod reply;
mod suggestion;
mod wanted;

use std::collections::BTreeSet;

use crate::api::{Reply, Request};
use crate::app::App;
use crate::auth::Permission::Read;
use crate::auth::{Caller, may};
use crate::error::Result;
use crate::http::Routes;
use crate::routes;

use reply::Groups;
use wanted::Wanted;

/// The access matrix of universal search; each collection asks for its own permission besides.
pub fn routes(app: &App) -> Routes {
    routes! { app, "search";
        /// Asks every collection for one text, and says why each record was found.
        get () may(Read) => search: Wanted -> Groups;
    }
}

async fn search(caller: Caller, request: Request) -> Result<Reply> {
    let wanted = Wanted::read(&caller, &request)?;
    if wanted.includes_deleted {
        caller.check_sees_deleted()?;
    }
    let groups = ask::all(&request, &wanted).await?;
    let meant = suggestion::of(&request, &wanted, &groups).await;
    let reply = reply::write(&request, &wanted, &groups, meant).await?;
    request.log_search("all", &BTreeSet::new(), wanted.typed.trim());
    Ok(reply)
}
