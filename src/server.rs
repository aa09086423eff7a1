//! The list of all URLs, and the server that answers them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::features::{accounts, activities, analytics, audit, customers, jobs, payments, timeline, users};
use crate::http::{self, Listener, Routes, Row};
use crate::realtime::{self, Hub};
use crate::{auth, dashboard, exports, health, imports, notifications, openapi, saved_searches, sync, universal};

/// Every route of the public port. `/api/v1` is canonical, `/api` a permanent alias.
#[must_use]
pub fn routes(app: &App) -> Routes {
    routes_of(app, &Hub::new(app))
}

fn routes_of(app: &App, hub: &Arc<Hub>) -> Routes {
    let api = Routes::join(vec![
        http::with_secrets(auth::routes(app)),
        http::with_secrets(users::routes(app)),
        exports::routes(app),
        customers::routes(app),
        accounts::routes(app),
        payments::account_routes(app),
        payments::routes(app),
        activities::account_routes(app),
        activities::customer_routes(app),
        activities::routes(app),
        timeline::account_routes(app),
        timeline::customer_routes(app),
        analytics::routes(app),
        audit::routes(app),
        saved_searches::routes(app),
        imports::routes(app),
        imports::bulk_upload_routes(app),
        jobs::routes(app),
        sync::routes(app),
        universal::routes(app),
        realtime::routes(hub),
        dashboard::routes(app),
        notifications::routes(app),
    ]);
    let mut all = vec![api.under("api/v1"), api.under("api")];
    match app.config.http.admin_port {
        Some(_) => all.push(health::public_routes(app)),
        None => all.extend([admin_routes(app), health::report(app).under("api")]),
    }
    let others: Vec<Row> = all.iter().flat_map(Routes::table).collect();
    all.push(openapi::routes(app, &others));
    realtime::with_sockets(Routes::join(all), hub)
}

/// The routes for operators, on a port of their own if there is one.
fn admin_routes(app: &App) -> Routes {
    Routes::join(vec![health::routes(app), health::metrics(app)])
}

/// The same on a port of their own, where nothing else is.
fn admin_port_routes(app: &App) -> Routes {
    Routes::join(vec![admin_routes(app), health::public_report(app).under("api")])
}

/// A server that accepts requests.
pub struct Running {
    pub address: SocketAddr,
    /// Where operators ask, if not there.
    pub admin_address: Option<SocketAddr>,
    /// Cancel it to stop the application.
    pub stop: CancellationToken,
    /// Ends when all requests in progress are answered.
    pub ended: JoinHandle<()>,
}

/// Opens the ports and serves until the application is stopped. Fails if a port is taken.
pub async fn start(app: &App) -> std::io::Result<Running> {
    let socket = http::bind(&app.config.http).await?;
    let address = socket.local_addr()?;
    let admin = http::bind_admin(&app.config.http).await?;
    let admin_address = admin.as_ref().map(Listener::local_addr).transpose()?;
    // The followers run until the last answer, which may still depend on them.
    let (mut followers, answered) = (JoinSet::new(), CancellationToken::new());
    followers.spawn(Arc::clone(&app.cache).follow(app.db.listen.clone(), answered.clone()));
    followers.spawn(Arc::clone(&app.feed).follow(answered.clone()));
    followers.spawn({
        let (audit, answered) = (Arc::clone(&app.audit), answered.clone());
        async move { audit.run(answered).await }
    });
    followers.spawn(Arc::clone(&app.rate_limits).follow(answered.clone()));
    followers.spawn({
        let (app, answered) = (app.clone(), answered.clone());
        async move { app.usage.run(answered).await }
    });
    // Also in a process that runs the sync: another one may lead.
    followers.spawn(sync::leader::follower::run(app.clone(), answered.clone()));
    followers.spawn(sync::leader::identity::run(app.clone(), answered.clone()));
    let hub = Hub::new(app);
    followers.spawn(realtime::run(Arc::clone(&hub), answered.clone()));
    let listening = http::listen(app.clone(), socket, routes_of(app, &hub));
    let admin = admin.map(|socket| http::listen(app.clone(), socket, admin_port_routes(app)));
    let ended = tokio::spawn(async move {
        tokio::join!(listening, async {
            if let Some(admin) = admin {
                admin.await
            }
        });
        answered.cancel();
        followers.join_all().await;
    });
    Ok(Running { address, admin_address, stop: app.stop.clone(), ended })
}
