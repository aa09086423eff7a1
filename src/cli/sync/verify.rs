//! `collections sync verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::{Live, Options, open, unknown};
use crate::app::App;
use crate::cli::NAME_WIDTH;
use crate::cli::connect::describe;
use crate::search::Elastic;
use crate::sync::integrity::compare;
use crate::sync::integrity::verify::{self, Difference, Findings};

/// Documents of a collection that are named; the others are only counted.
const NAMED: usize = 20;

/// Compares the index with the rows: which documents there are, and which version of its row each shows.
#[derive(Args)]
pub(super) struct Verify {
    /// Compare the whole contents of documents and name the members that differ.
    #[arg(long)]
    deep: bool,
    /// Also compare every balance with the sum of its ledger.
    #[arg(long)]
    ledger: bool,
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    #[command(flatten)]
    options: Options,
}

/// What was found in a collection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    checked: usize,
    different: usize,
    /// Documents that were being written whenever they were compared.
    unsettled: usize,
    /// Documents that another program wrote, with ids that are no UUIDs.
    strays: usize,
    /// The first documents that differ.
    documents: Vec<Named>,
    #[serde(skip)]
    summary: String,
}

#[derive(Serialize)]
struct Named {
    id: Uuid,
    difference: Difference,
    members: BTreeSet<String>,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (json, omitted) = (self.options.json, self.omitted());
        match self.check().await {
            Ok((reports, ledger)) => {
                let different = reports.values().map(|report| report.different).sum::<usize>();
                if json {
                    let answer = serde_json::json!({ "different": different, "collections": reports, "wrongBalances": ledger });
                    println!("{answer}");
                } else {
                    print(&reports, ledger);
                    println!("{different} differences{omitted}");
                }
                let is_equal = different == 0 && ledger.unwrap_or_default() == 0;
                Ok(if is_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(fault) => {
                eprintln!("error: cannot tell whether the index equals the rows: {}", describe(&fault));
                Ok(unknown())
            }
        }
    }

    /// Says what is not compared.
    fn omitted(&self) -> String {
        let all = [(self.deep, "contents (--deep)"), (self.ledger, "balances with their ledger (--ledger)")];
        let omitted: Vec<&str> = all.into_iter().filter(|(is_compared, _)| !is_compared).map(|(_, what)| what).collect();
        if omitted.is_empty() { String::new() } else { format!("; not compared: {}", omitted.join(", ")) }
    }

    async fn check(self) -> anyhow::Result<(BTreeMap<&'static str, Report>, Option<i64>)> {
        let (app, elastic, live) = open(self.options.config, self.collection.as_deref()).await?;
        let mut reports = BTreeMap::new();
        for Live { collection, index } in live {
            let findings = if self.deep {
                verify::contents(&app, &elastic, collection, &index).await?
            } else {
                verify::versions(&app, &elastic, collection, &index).await?
            };
            let live = Live { collection, index };
            reports.insert(collection.name, report(&app, &elastic, &live, findings, self.deep).await?);
        }
        let ledger = if self.ledger { Some(verify::ledger(&app).await?) } else { None };
        Ok((reports, ledger))
    }
}

async fn report(app: &App, elastic: &Elastic, live: &Live, findings: Findings, deep: bool) -> anyhow::Result<Report> {
    let Findings { checked, differences, unsettled, strays, .. } = findings;
    let mut ids: Vec<Uuid> = differences.keys().copied().collect();
    ids.sort_unstable();
    ids.truncate(NAMED);
    let mut members = BTreeMap::new();
    if deep && !ids.is_empty() {
        members = compare::differing(app, elastic, live.collection, &live.index, &ids).await?;
    }
    let named = |id: Uuid| Named { id, difference: differences[&id], members: members.remove(&id).unwrap_or_default() };
    Ok(Report {
        checked,
        different: differences.len() + strays.len(),
        unsettled: unsettled.len(),
        strays: strays.len(),
        documents: ids.into_iter().map(named).collect(),
        summary: verify::summary(&differences),
    })
}

fn print(reports: &BTreeMap<&str, Report>, ledger: Option<i64>) {
    for (name, report) in reports {
        let Report { checked, unsettled, strays, summary, .. } = report;
        println!("{name:<NAME_WIDTH$} {checked} compared: {summary}, {strays} of other programs, {unsettled} unsettled");
        for Named { id, difference, members } in &report.documents {
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            println!("{:<NAME_WIDTH$} {id} {} {}", "", format!("{difference:?}").to_lowercase(), members.join(", "));
        }
    }
    if let Some(wrong) = ledger {
        println!("{wrong} balances differ from their ledger");
    }
}
