//! Queries with known answers, and how good an answer is.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::report::Row;
use crate::harness::client::Client;

/// Queries under way at a time: as many as an engine gives one caller.
const TURNS: usize = 4;
/// On a busy machine the searches of one user wait too long for each other, and are refused.
const RETRIES: usize = 60;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Misses that are shown of a class.
const MISSES: usize = 5;

/// A query with its known answers.
pub(super) struct Query {
    /// The list that is searched: `/customers`.
    pub(super) list: &'static str,
    pub(super) typed: String,
    /// Each of them is right; empty if nothing must be found.
    pub(super) relevant: HashSet<Uuid>,
}

/// Success@1, Success@10, MRR@10 and NDCG@10, each from 0 to 1.
pub(super) type Quality = [f64; 4];

/// A document that was found: its id, and what to call it.
pub(super) type Hit = (Uuid, String);

/// The quality of one answer.
pub(super) fn quality(found: &[Hit], relevant: &HashSet<Uuid>) -> Quality {
    if relevant.is_empty() {
        return [if found.is_empty() { 1.0 } else { 0.0 }; 4];
    }
    let found = found.iter().take(10).enumerate();
    let ranks: Vec<usize> = found.filter(|(_, (id, _))| relevant.contains(id)).map(|(at, _)| at + 1).collect();
    let Some(first) = ranks.first() else { return [0.0; 4] };
    let gain = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    let ideal: f64 = (1..=relevant.len().min(10)).map(gain).sum();
    let success_at_1 = if *first == 1 { 1.0 } else { 0.0 };
    [success_at_1, 1.0, 1.0 / *first as f64, ranks.into_iter().map(gain).sum::<f64>() / ideal]
}

/// What a system's answers to the queries of a class are worth.
pub(super) fn row(class: &str, system: &str, queries: &[&Query], answers: &[&Vec<Hit>]) -> Row {
    assert!(!queries.is_empty() && queries.len() == answers.len(), "{class} has queries, and each has an answer");
    let (mut sum, mut misses) = ([0.0; 4], Vec::new());
    for (query, found) in queries.iter().zip(answers) {
        let quality = quality(found, &query.relevant);
        (0..4).for_each(|metric| sum[metric] += quality[metric]);
        if quality[0] < 1.0 && misses.len() < MISSES {
            let names: Vec<&str> = found.iter().take(3).map(|(_, name)| name.as_str()).collect();
            misses.push(format!("{}?q={} found {}", query.list, query.typed, names.join(" · ")));
        }
    }
    let count = queries.len();
    Row { class: class.into(), system: system.into(), count, quality: sum.map(|sum| sum / count as f64), misses }
}

/// Asks a server all the queries; the first ten hits of each.
pub(super) async fn ask(client: &Client, queries: &[Query]) -> Vec<Vec<Hit>> {
    let answers = queries.iter().map(|query| async move {
        let typed: String = form_urlencoded::byte_serialize(query.typed.as_bytes()).collect();
        let path = format!("{}?q={typed}&limit=10&count=none", query.list);
        let mut answer = client.get(&path).await;
        for _ in 0..RETRIES {
            if answer.status != 503 {
                break;
            }
            sleep(RETRY_AFTER).await;
            answer = client.get(&path).await;
        }
        answer.expect(200)["data"].as_array().unwrap().iter().map(hit).collect()
    });
    stream::iter(answers).buffered(TURNS).collect().await
}

fn hit(item: &Value) -> Hit {
    let names = ["reference", "accountNumber", "name"].map(|member| item[member].as_str());
    (item["id"].as_str().unwrap().parse().unwrap(), names.into_iter().flatten().next().unwrap_or_default().to_owned())
}

#[test]
fn the_quality_of_an_answer_counts_from_its_first_right_hit() {
    let ids = [1, 2, 3].map(Uuid::from_u128);
    let found = ids.map(|id| (id, String::new()));
    let of = |relevant: &[u128]| quality(&found, &relevant.iter().copied().map(Uuid::from_u128).collect());
    assert_eq!(of(&[1]), [1.0; 4]);
    assert_eq!(of(&[1, 2, 3]), [1.0; 4]);
    assert_eq!(of(&[3]), [0.0, 1.0, 1.0 / 3.0, 0.5]);
    assert_eq!(of(&[4]), [0.0; 4]);
    assert_eq!(of(&[]), [0.0; 4], "nothing was to be found");
    assert_eq!(quality(&[], &HashSet::new()), [1.0; 4]);
}
