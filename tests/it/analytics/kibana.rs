//! The saved objects: what is wrong with them is found without Kibana, and an import keeps what people have edited.

use std::time::Duration;

use base64::Engine as _;
use collections::kibana::client::{Existing, Imported, Kibana, RoleState};
use collections::kibana::{self, Panel, SavedObject, check};
use reqwest::Method;
use serde_json::{Value, json};

use super::listener::Listener;
use crate::harness::synced::Synced;
use crate::sync::documents::people;

const PATIENCE: Duration = Duration::from_secs(60);

fn pack() -> Vec<SavedObject> {
    kibana::files().unwrap().into_iter().flat_map(|file| file.objects).collect()
}

#[test]
fn the_pack_has_no_faults() {
    assert_eq!(check::check(&pack()), Vec::<String>::new());
    let dashboards: Vec<String> =
        pack().iter().filter(|object| object.kind == "dashboard").map(|object| object.title().to_owned()).collect();
    assert_eq!(dashboards, ["Collections today", "Ageing and roll rates", "Payments", "Agents", "Search and sync"]);
}

/// Changes one object of the pack.
fn planted(id: &str, plant: impl FnOnce(&mut SavedObject)) -> Vec<String> {
    let mut objects = pack();
    plant(objects.iter_mut().find(|object| object.id == id).unwrap());
    check::check(&objects)
}

/// Replaces a text within a member that is a text of JSON.
fn edit(object: &mut SavedObject, pointer: &str, from: &str, to: &str) {
    let member = object.attributes.pointer_mut(pointer).unwrap();
    let text = member.as_str().unwrap().to_owned();
    assert!(text.contains(from), "{text}");
    *member = text.replace(from, to).into();
}

#[test]
fn each_planted_fault_is_found() {
    let source = "/kibanaSavedObjectMeta/searchSourceJSON";
    let (owed, days) = ("collections-today-owed", "collections-today-collected");
    let faults = [
        ("a reference to nothing", planted(owed, |one| one.references[0].id = "collections-view-debts".into())),
        ("a field that is not there", planted(owed, |one| edit(one, "/visState", "\"balance\"", "\"amountDue\""))),
        ("a sum of words", planted(owed, |one| edit(one, "/visState", "\"field\":\"balance\"", "\"field\":\"status\""))),
        (
            "a sum across currencies",
            planted(owed, |one| edit(one, "/visState", "\"field\":\"currency\"", "\"field\":\"status\"")),
        ),
        ("days of a number", planted(days, |one| edit(one, "/visState", "\"receivedAt\"", "\"amountMinor\""))),
        ("a query for a name", planted(owed, |one| edit(one, source, "status:open", "customerName:maria"))),
        ("another language", planted(owed, |one| edit(one, source, "lucene", "kuery"))),
        (
            "a column of an account number",
            planted("collections-search-high-balance", |one| {
                one.attributes["columns"][0] = "accountNumber".into();
            }),
        ),
        (
            "a data view of a list",
            planted("collections-view-customers", |one| {
                one.attributes["title"] = "collections-customers".into();
            }),
        ),
        ("a label of nothing", planted("collections-view-customers", |one| edit(one, "/fieldAttrs", "\"region\"", "\"street\""))),
        ("time that is none", planted("collections-view-payments", |one| one.attributes["timeFieldName"] = "method".into())),
        (
            "an address",
            planted("collections-today-about", |one| {
                edit(one, "/visState", "Who owes", "See https://kibana.example.org. Who owes");
            }),
        ),
        ("an unknown type", planted(owed, |one| one.kind = "lens".into())),
        ("a newer version", planted(owed, |one| one.type_version = "10.1.0".into())),
        (
            "another panel than it refers to",
            planted("collections-dashboard-agents", |one| {
                edit(one, "/panelsJSON", "panel_2", "panel_9");
            }),
        ),
        ("no explanation", planted("collections-dashboard-agents", |one| one.references[0].id = owed.into())),
        ("the same id twice", planted(days, |one| one.id = owed.into())),
        ("an aggregation that is not checked", planted(owed, |one| edit(one, "/visState", "\"sum\"", "\"top_hits\""))),
    ];
    for (what, found) in faults {
        assert!(!found.is_empty(), "{what} is not found");
    }
}

#[tokio::test]
async fn every_panel_is_answered_by_elasticsearch() {
    let test = Synced::started_with(&["--analytics", "on"]).await;
    people(&test).await;
    test.settle().await;
    let objects = pack();
    let mut asked = 0;
    for panel in objects.iter().filter_map(|object| Panel::read(object, &objects).unwrap()) {
        let index = test.index(panel.collection).await;
        let answer =
            test.raw(Method::POST, &format!("{index}/_search"), Some(panel.search("Europe/Berlin", ("now-30d", "now")))).await;
        assert_eq!(answer["_shards"]["failed"], 0, "{}", panel.id);
        asked += 1;
    }
    assert_eq!(asked, 24);
    let (code, said) = test.command(&["kibana", "check", "--analytics", "on"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("24 panels tried, 0 faults"), "{said}");
}

#[tokio::test]
async fn an_import_waits_and_can_be_repeated() {
    let listener = Listener::start().await;
    listener.state.lock().starting = 2;
    let kibana = Kibana::open(&listener.url, "collections").unwrap();
    kibana.wait(PATIENCE).await.unwrap();
    kibana.create_space().await.unwrap();
    assert_eq!(kibana.create_role("it", Existing::Keep).await.unwrap(), RoleState::Written);
    let count = pack().len();
    assert_eq!(kibana.import(&pack(), "it", Existing::Keep).await.unwrap(), Imported { written: count, kept: 0 });
    {
        let state = listener.state.lock();
        assert_eq!(state.objects.len(), count);
        let view = &state.objects[&("index-pattern".to_owned(), "collections-view-accounts".to_owned())];
        assert_eq!(view["attributes"]["title"], "it-analytics-accounts", "the prefix of the deployment");
        let role = state.role.clone().unwrap();
        assert_eq!(role["elasticsearch"]["indices"][0]["names"], json!(["it-analytics-*"]));
        assert_eq!(role["kibana"][0]["spaces"], json!(["collections"]));
    }
    kibana.create_space().await.unwrap();
    assert_eq!(kibana.create_role("it", Existing::Keep).await.unwrap(), RoleState::Kept);
    assert_eq!(kibana.import(&pack(), "it", Existing::Keep).await.unwrap(), Imported { written: 0, kept: count });
    listener.state.lock().has_security = false;
    assert_eq!(kibana.create_role("it", Existing::Keep).await.unwrap(), RoleState::NoSecurity);
}

#[tokio::test]
async fn an_import_keeps_edits_unless_it_is_forced() {
    let listener = Listener::start().await;
    let kibana = Kibana::open(&listener.url, "default").unwrap();
    kibana.import(&pack(), "collections", Existing::Keep).await.unwrap();
    let (edited, deleted) = (
        ("dashboard".to_owned(), "collections-dashboard-collections-today".to_owned()),
        ("search".to_owned(), "collections-search-no-contact".to_owned()),
    );
    let title = |listener: &Listener| listener.state.lock().objects[&edited]["attributes"]["title"].clone();
    listener.state.lock().objects.get_mut(&edited).unwrap()["attributes"]["title"] = json!("Ours");
    listener.state.lock().objects.remove(&deleted);
    let done = kibana.import(&pack(), "collections", Existing::Keep).await.unwrap();
    assert_eq!(done, Imported { written: 1, kept: pack().len() - 1 });
    assert_eq!(title(&listener), "Ours");
    assert!(listener.state.lock().objects.contains_key(&deleted), "what was deleted is back");
    let exported = kibana.export(&pack(), "collections").await.unwrap();
    assert_eq!(exported.iter().find(|object| object.id == edited.1).unwrap().title(), "Ours");
    kibana.import(&pack(), "collections", Existing::Replace).await.unwrap();
    assert_eq!(title(&listener), "Collections today");
    assert_eq!(kibana.export(&pack(), "collections").await.unwrap(), pack(), "an export is what was imported");
}

#[tokio::test]
async fn no_failure_looks_like_success() {
    let listener = Listener::start().await;
    let kibana = Kibana::open(&listener.url, "default").unwrap();
    listener.state.lock().refuses = Some("unsupported_type");
    let error = kibana.import(&pack(), "collections", Existing::Replace).await.unwrap_err();
    assert!(error.to_string().contains("unsupported_type"), "{error:#}");
    listener.state.lock().refuses = None;
    let missing: Vec<SavedObject> = pack().into_iter().filter(|object| object.kind != "index-pattern").collect();
    let error = kibana.import(&missing, "collections", Existing::Keep).await.unwrap_err();
    assert!(error.to_string().contains("missing_references"), "{error:#}");
    assert!(kibana.export(&pack(), "collections").await.is_err(), "nothing is there to be exported");

    let elsewhere = Kibana::open(&listener.url, "nowhere").unwrap();
    assert!(elsewhere.import(&pack(), "collections", Existing::Keep).await.is_err(), "a space that was not created");
    listener.state.lock().version = "8.18.2";
    let error = kibana.wait(PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("too old"), "{error:#}");
    listener.state.lock().version = "9.2.0";
    kibana.wait(PATIENCE).await.unwrap();
    listener.state.lock().starting = u32::MAX;
    let error = kibana.wait(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("kibana is not available"), "{error:#}");
    let nothing = Kibana::open("http://127.0.0.1:9", "default").unwrap();
    let error = nothing.wait(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("kibana is not available"), "{error:#}");
    assert!(nothing.import(&pack(), "collections", Existing::Keep).await.is_err());

    let text = base64::engine::general_purpose::STANDARD.encode("elastic:p:w");
    listener.state.lock().authorization = Some(format!("Basic {text}"));
    let error = kibana.create_space().await.err().or(kibana.import(&pack(), "x", Existing::Keep).await.err()).unwrap();
    assert!(format!("{error:#}").contains("does not admit"), "{error:#}");
    let url = listener.url.replace("http://", "http://elastic:p%3Aw@");
    Kibana::open(&url, "default").unwrap().import(&pack(), "collections", Existing::Keep).await.unwrap();
}

#[tokio::test]
async fn the_command_imports_and_exports() {
    let listener = Listener::start().await;
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_collections"));
        command.args(arguments).env("KIBANA_URL", &listener.url).env("INDEX_PREFIX", "it").kill_on_drop(true);
        let output = command.output().await.unwrap();
        (output.status.code(), [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat())
    };
    let (code, said) = run(&["kibana", "import", "--wait", "30"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("objects written to the space collections, 0 kept"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, said) = run(&["kibana", "export", path]).await;
    assert_eq!(code, Some(0), "{said}");
    for file in kibana::files().unwrap() {
        let (ours, theirs) = (format!("{}/kibana/{}", env!("CARGO_MANIFEST_DIR"), file.name), folder.path().join(&file.name));
        let read = |text: String| text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        assert_eq!(read(std::fs::read_to_string(theirs).unwrap()), read(std::fs::read_to_string(ours).unwrap()));
    }
    let (code, said) = run(&["kibana", "check", path]).await;
    assert_eq!(code, Some(0), "{said}");
    let faulty = folder.path().join("agents.ndjson");
    let text = std::fs::read_to_string(&faulty).unwrap().replace("disposition", "note");
    std::fs::write(&faulty, text).unwrap();
    let (code, said) = run(&["kibana", "check", path]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("names note, which is no field of analytics-activities"), "{said}");
    listener.state.lock().refuses = Some("unsupported_type");
    let (code, said) = run(&["kibana", "import", "--force", "--wait", "30"]).await;
    assert_eq!(code, Some(1), "{said}");
}

/// Where `KIBANA_URL` leads to a Kibana, the import is a real one.
#[tokio::test]
async fn a_real_kibana_takes_the_pack() {
    let Ok(url) = std::env::var("KIBANA_URL") else { return };
    let space = format!("it-{}", collections::values::ids::new().simple());
    let kibana = Kibana::open(&url, &space).unwrap();
    kibana.wait(PATIENCE).await.unwrap();
    kibana.create_space().await.unwrap();
    let count = pack().len();
    assert_eq!(kibana.import(&pack(), "it", Existing::Keep).await.unwrap(), Imported { written: count, kept: 0 });
    assert_eq!(kibana.import(&pack(), "it", Existing::Keep).await.unwrap(), Imported { written: 0, kept: count });
    assert_eq!(kibana.export(&pack(), "it").await.unwrap().len(), count);
}
