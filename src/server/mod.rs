//! The list of all URLs, and the server that answers them.

mod health;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::features::{accounts, customers, payments};
use crate::http::{self, Routes};
use crate::{auth, sync};

/// Every address of the API. `/api/v1` is the canonical one, `/api` a permanent alias.
#[must_use]
pub fn routes(app: &App) -> Routes {
    let features = vec![
        auth::routes(app),
        customers::routes(app),
        accounts::routes(app),
        payments::account_routes(app),
        payments::routes(app),
        sync::routes(app),
    ];
    let api = Routes::join(features);
    Routes::join(vec![api.below("api/v1"), api.below("api"), health::routes(app), health::metrics(app)])
}

/// A server that answers.
pub struct Running {
    /// Where.
    pub address: SocketAddr,
    /// Cancel it to stop the application.
    pub stop: CancellationToken,
    /// Ends when everything that was under way is finished.
    pub ended: JoinHandle<()>,
}

/// Opens the port and serves until the application is stopped. Hears of changes until the last answer is given.
///
/// # Errors
/// The port is taken, or may not be used.
pub async fn start(app: &App) -> std::io::Result<Running> {
    let socket = http::bind(&app.config.http).await?;
    let address = socket.local_addr()?;
    let (mut ears, answered) = (JoinSet::new(), CancellationToken::new());
    ears.spawn(Arc::clone(&app.cache).follow(answered.clone()));
    ears.spawn(Arc::clone(&app.feed).follow(answered.clone()));
    // Also beside a sync: it may stand by while another process leads.
    ears.spawn(sync::leader::follower::run(app.clone(), answered.clone()));
    let listening = http::listen(app.clone(), socket, routes(app));
    let ended = tokio::spawn(async move {
        listening.await;
        answered.cancel();
        ears.join_all().await;
    });
    Ok(Running { address, stop: app.stop.clone(), ended })
}
