//! Swagger UI on a page of its own. It comes from a crate, so neither build nor browser loads it from elsewhere.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::str::FromStr;
use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;
use zip::result::ZipResult;

use super::tag;
use crate::api::{Reply, Request, no_content, text};
use crate::app::App;
use crate::auth::public;
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::operation::{NoContent, Nothing, Text};
use crate::routes;

const PAGE: &str = include_str!("swagger.html");
const START: &str = include_str!("swagger.js");

/// The page runs its own scripts and asks its own server. Swagger UI has styles in its markup and pictures in its styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Its address has the version, so it never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Asks again, and gets 304 as a rule.
const ASK_AGAIN: &str = "no-cache";

/// What the page needs of the package, and the content types.
const FILES: [(&str, &str); 3] = [
    ("favicon-32x32.png", "image/png"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
];

/// None if the package cannot be read.
static PACKAGE: LazyLock<Option<Package>> = LazyLock::new(|| Package::unpack().ok());

/// The rows `/api/docs` and what it loads, and `/api-docs`. They are pages and no part of the API's description.
pub(super) fn routes(app: &App) -> Routes {
    Routes::join(vec![
        routes! { app, "api";
            get ("docs")                          public => page:  Nothing -> Text;
            get ("docs" / "start.js")             public => start: Nothing -> Text;
            get ("docs" / SwaggerVersion / Asset) public => asset: Nothing -> Text;
        },
        routes! { app, "api-docs"; get () public => moved: Nothing -> NoContent; },
    ])
}

struct Package {
    version: String,
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl Package {
    fn unpack() -> ZipResult<Self> {
        let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
        let first = archive.file_names().next().transpose()?.unwrap_or_default().into_owned();
        let root = first.split('/').next().unwrap_or_default();
        let mut files = BTreeMap::new();
        for (name, _) in FILES {
            let mut bytes = Vec::new();
            archive.by_name(&format!("{root}/dist/{name}"))?.read_to_end(&mut bytes)?;
            files.insert(name, bytes);
        }
        Ok(Self { version: root.trim_start_matches("swagger-ui-").to_owned(), files })
    }

    fn get() -> Result<&'static Self> {
        PACKAGE.as_ref().ok_or_else(|| Error::internal("the package of Swagger UI cannot be read"))
    }
}

/// The version of the package; no other has an address.
struct SwaggerVersion;

impl FromStr for SwaggerVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if Package::get()?.version == text { Ok(Self) } else { Err(Error::NotFound("version")) }
    }
}

/// A file of the package.
struct Asset {
    name: &'static str,
    content_type: &'static str,
}

impl FromStr for Asset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = FILES.into_iter().find(|(name, _)| *name == text);
        found.map(|(name, content_type)| Self { name, content_type }).ok_or(Error::NotFound("file"))
    }
}

async fn page(_: Request) -> Result<Reply> {
    let page = PAGE.replace("VERSION", &Package::get()?.version);
    let tag = tag(&page);
    let reply = text("text/html; charset=utf-8", page).with(ETAG, &tag);
    Ok(reply.with(CONTENT_SECURITY_POLICY, POLICY).with(CACHE_CONTROL, ASK_AGAIN))
}

async fn start(_: Request) -> Result<Reply> {
    let reply = text("text/javascript; charset=utf-8", START.to_owned()).with(ETAG, &tag(START));
    Ok(reply.with(CACHE_CONTROL, ASK_AGAIN))
}

async fn asset(_: SwaggerVersion, asset: Asset, _: Request) -> Result<Reply> {
    let Package { version, files } = Package::get()?;
    let reply = Reply::json(files.get(asset.name).cloned().unwrap_or_default()).with(CONTENT_TYPE, asset.content_type);
    Ok(reply.with(ETAG, &format!("\"{version}\"")).with(CACHE_CONTROL, FOR_EVER))
}

async fn moved(_: Request) -> Result<Reply> {
    Ok(no_content().with(LOCATION, "/api/docs").with_status(StatusCode::PERMANENT_REDIRECT))
}
