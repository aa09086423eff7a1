//! The API's description in OpenAPI 3.1, made of the route tables; `docs/openapi.json` is a copy.

mod document;
mod names;
mod problems;

use std::sync::{Arc, OnceLock};

use hyper::header::ETAG;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::api::{Reply, Request};
use crate::app::App;
use crate::auth::public;
use crate::http::{Routes, Row};
use crate::operation::{Answers, Nothing, Operation};
use crate::routes;

pub use document::document;

/// The rows `/openapi.json` and `/api/openapi.json`, which describe all routes: others and themselves.
pub fn routes(app: &App, others: &[Row]) -> Routes {
    let (table, text) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let show = {
        let table = Arc::clone(&table);
        move |request: Request| {
            let (table, text) = (Arc::clone(&table), Arc::clone(&text));
            async move {
                // Made when it is first asked for: most processes of a deployment never are.
                let table = table.get().map_or(&[][..], Vec::as_slice);
                let text: &String = text.get_or_init(|| document(table, &request.app.config).to_string());
                let digest: String = Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(Reply::json(text.clone().into_bytes()).with(ETAG, &format!("\"{digest}\"")))
            }
        }
    };
    let row = routes! { app, "openapi.json";
        /// Shows this description.
        get () public => show: Nothing -> Description;
    };
    let own = Routes::join(vec![row.clone(), row.under("api")]);
    table.get_or_init(|| [others, &own.table].concat());
    own
}

struct Description;

impl Answers for Description {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer = Some(("application/json", json!({ "type": "object" })));
        operation.headers.insert("ETag");
    }
}
