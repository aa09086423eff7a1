//! What dashboards show: figures of all features, each counted at most once a second however many look.

mod answer;
mod customers;
mod debts;
mod removal;
mod team;
mod usage;

use crate::api::figures::{About, Figures};
use crate::app::App;
use crate::auth::Permission::{Read, Supervise};
use crate::auth::may;
use crate::http::Routes;
use crate::routes;

pub use removal::RemoveOldUsage;

use answer::{Dashboard, dashboard};
use customers::{CustomerStatistics, statistics};
use usage::{Usage, usage};

/// The access matrix of figures that are no feature's own. What users do is for those who supervise them.
pub fn routes(app: &App) -> Routes {
    Routes::join(vec![
        routes! { app, "dashboard";
            /// Shows payments and debts, and to managers also the team, its jobs and imports, and the sync.
            get () may(Read) => dashboard: About<Dashboard> -> Dashboard;
        },
        routes! { app, "analytics";
            /// Counts customers by status and kind, and those that are new.
            get ("customers") may(Read)      => statistics: About<CustomerStatistics> -> Figures<CustomerStatistics>;
            /// Says how much each user has called, searched and imported.
            get ("usage")     may(Supervise) => usage:      About<Usage> -> Usage;
        },
        routes! { app, "customers";
            /// The same as `/analytics/customers`.
            get ("statistics") may(Read) => statistics: About<CustomerStatistics> -> Figures<CustomerStatistics>;
        },
    ])
}
