//! How often a search finds the right one of the 5,000 people of Febrl by a distorted record. `FEBRL` names the folder of the data.

use std::collections::HashMap;

use form_urlencoded::byte_serialize;
use futures_util::{StreamExt, stream};

use super::lists::{ENGINES, Lists};

fn rows(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.trim().to_owned()).collect());
    rows.filter(|row: &Vec<String>| row.len() > 9).collect()
}

fn number(row: &[String]) -> u32 {
    row[0].split('-').nth(1).unwrap().parse().unwrap()
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "null".into() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn insert(originals: &[Vec<String>]) -> String {
    let mut sql = String::new();
    for row in originals {
        let id = format!("00000000-0000-7000-8000-{:012}", number(row));
        let name = [row[1].as_str(), row[2].as_str()].join(" ");
        let name = if name.trim().is_empty() { "?".to_owned() } else { name.trim().to_owned() };
        sql += &format!(
            "insert into customers (id, external_id, name, given_name, family_name) values ('{id}', 'rec-{}', {}, {}, {});\n",
            number(row),
            quoted(&name),
            quoted(&row[1]),
            quoted(&row[2]),
        );
        let line1 = format!("{} {}", row[3], row[4]);
        let line1 = if line1.trim().is_empty() { "?" } else { line1.trim() };
        sql += &format!(
            "insert into addresses (id, customer_id, line1, line2, city, region, postal_code) values (gen_random_uuid(), '{id}', {}, {}, {}, {}, {});\n",
            quoted(line1),
            quoted(&row[5]),
            quoted(&row[6]),
            quoted(&row[8]),
            quoted(&row[7]),
        );
    }
    sql + "analyze;"
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn the_right_person_is_found_by_a_distorted_record() {
    let Ok(folder) = std::env::var("FEBRL") else { return };
    let every: usize = std::env::var("EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(1);
    let originals = rows(&format!("{folder}/dataset4a.csv"));
    let distorted = rows(&format!("{folder}/dataset4b.csv"));
    for engine in ENGINES {
        if std::env::var("ENGINE").is_ok_and(|only| only != format!("{engine:?}")) {
            continue;
        }
        let lists = Lists::open_with(engine, &insert(&originals)).await;
        for (kind, columns) in [("name", &[1, 2][..]), ("address", &[1, 2, 3, 4, 6])] {
            let begun = std::time::Instant::now();
            let found = stream::iter(distorted.iter().step_by(every).map(|row| {
                let lists = &lists;
                async move {
                    let words: Vec<&str> = columns.iter().flat_map(|at| row[*at].split_whitespace()).take(12).collect();
                    let typed: String = byte_serialize(words.join(" ").as_bytes()).collect();
                    let path = format!("/api/v1/customers?q={typed}&limit=10&count=none");
                    let ids = lists.values(&path, "externalId").await;
                    let wanted = format!("rec-{}", number(row));
                    (number(row), words.join(" "), ids.iter().position(|id| *id == wanted.as_str()))
                }
            }))
            .buffer_unordered(4)
            .collect::<Vec<_>>()
            .await;
            let mut halves: HashMap<u32, (f64, f64, f64, f64)> = HashMap::new();
            for (number, typed, at) in &found {
                let half = halves.entry(number % 2).or_default();
                half.0 += 1.0;
                if let Some(at) = at {
                    half.1 += f64::from(u8::from(*at == 0));
                    half.2 += 1.0;
                    half.3 += 1.0 / (*at as f64 + 1.0);
                }
                if std::env::var("MISSES").is_ok() && *at != Some(0) && number % 2 == 0 {
                    println!("MISS {engine:?} {kind} {number} {at:?} {typed}");
                }
            }
            for half in [0, 1] {
                let (all, first, ten, mrr) = halves[&half];
                println!(
                    "{engine:?} {kind} {} S@1 {:.4} S@10 {:.4} MRR {:.4} of {all}, {:.1} ms each",
                    if half == 0 { "even" } else { "odd" },
                    first / all,
                    ten / all,
                    mrr / all,
                    begun.elapsed().as_secs_f64() * 1000.0 / found.len() as f64
                );
            }
        }
    }
}
