//! The API's description in OpenAPI 3.1, made of the route tables, with a page and a Postman collection made of it;
//! `docs/openapi.json` is a copy.

mod document;
mod examples;
mod names;
mod postman;
mod problems;
mod shared;
mod swagger;

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

/// The rows that describe all routes, others and themselves: `/openapi.json` and `/postman.json`, there and below `/api`; and the page
/// that shows the description.
pub fn routes(app: &App, others: &[Row]) -> Routes {
    let (table, texts) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let show = |text: fn(&Texts) -> &String| {
        let (table, texts) = (Arc::clone(&table), Arc::clone(&texts));
        move |request: Request| {
            let (table, texts) = (Arc::clone(&table), Arc::clone(&texts));
            async move {
                // Made when it is first asked for: most processes of a deployment never are.
                let make = || Texts::of(table.get().map_or(&[][..], Vec::as_slice), &request);
                let text = text(texts.get_or_init(make));
                Ok(Reply::json(text.clone().into_bytes()).with(ETAG, &tag(text)))
            }
        }
    };
    let (openapi, postman) = (show(|texts| &texts.openapi), show(|texts| &texts.postman));
    let own = Routes::join(vec![
        routes! { app, "openapi.json";
            /// Shows this description.
            get () public => openapi: Nothing -> Description;
        },
        routes! { app, "postman.json";
            /// Shows this description as a Postman collection. Its variables are `base_url` and `jwt_token`, which its log-in sets.
            get () public => postman: Nothing -> Description;
        },
    ]);
    let own = Routes::join(vec![own.clone(), own.under("api")]);
    table.get_or_init(|| [others, &own.table()].concat());
    Routes::join(vec![own, swagger::routes(app)])
}

/// The description in both forms.
struct Texts {
    openapi: String,
    postman: String,
}

impl Texts {
    fn of(table: &[Row], request: &Request) -> Self {
        let document = document(table, &request.app.config);
        Self { openapi: document.to_string(), postman: postman::collection(&document).to_string() }
    }
}

/// An ETag: a digest of the text.
fn tag(text: &str) -> String {
    let digest: String = Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

struct Description;

impl Answers for Description {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer = Some(("application/json", json!({ "type": "object" })));
        operation.headers.insert("ETag");
    }
}
