//! Mistyped phrases: what is found, in which order, and how its pages follow each other, on both engines.

use serde_json::json;

use super::lists::{ENGINES, Lists};

/// People of one name, people who share a word of it, and a few of their own.
const PEOPLE: &str = r#"
insert into customers (id, external_id, name, given_name, family_name)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'P-' || n, given || ' ' || family, given, family
from (
  select n, 'Maria' as given, 'Gonzalez' as family from generate_series(1, 500) as n
  union all select n, 'Theodora', 'Papadakis' || n from generate_series(501, 570) as n
  union all values (601, 'Robert', 'Kowalczyk'), (602, 'Patrick', 'O''Brien'), (603, 'Pieter', 'van den Berg'),
    (604, 'J.', 'Wintersteen'), (605, 'Ludmila', 'Hrabovska'), (606, 'Ludmilla', 'Hrabovska-Novak'), (607, 'Ludmila', 'Hrabovsky')
) as people(n, given, family);
insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
select gen_random_uuid(), '00000000-0000-7000-8000-000000000601', 'phone', number, number, false
from unnest(array['+33628123456', '5550104477']) as number;
"#;

async fn first(lists: &Lists, typed: &str) -> String {
    let typed: String = form_urlencoded::byte_serialize(typed.as_bytes()).collect();
    let found = lists.values(&format!("/customers?q={typed}"), "externalId").await;
    found.first().map_or_else(String::new, |id| id.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_spelling_of_a_name_finds_its_person_first() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, PEOPLE).await;
        for (typed, expected) in [
            ("bob kowalczyk", "P-601"),
            ("kowalzcyk robert", "P-601"),
            ("robert kowal czyk", "P-601"),
            ("r kowalczyk", "P-601"),
            ("roberta kowalcyk", "P-601"),
            ("patrick o brien", "P-602"),
            ("patrick obrien", "P-602"),
            ("o brian patrick", "P-602"),
            ("pieter vandenberg", "P-603"),
            ("pieter van denberg", "P-603"),
            ("peter van den bergh", "P-603"),
            ("j wintersteen", "P-604"),
            ("john wintersteen", "P-604"),
            ("ludmila hrabovska", "P-605"),
            ("hrabovsky ludmila", "P-607"),
            ("ludmila hrabovskaa", "P-605"),
            ("0033 6 28 12 34 56", "P-601"),
            ("+33 (0)6 28 12 34 56", "P-601"),
            ("06 28 12 34 56 ext. 12", "P-601"),
            ("+1 (555) 010-4477", "P-601"),
            ("4477", "P-601"),
        ] {
            assert_eq!(first(&lists, typed).await, expected, "{typed} from {engine:?}");
        }
    }
}

#[tokio::test]
async fn few_hits_are_followed_by_near_ones() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, PEOPLE).await;
        // The beginning of two names; the third differs in a letter.
        let found = lists.values("/customers?q=ludmila+hrabovsk", "externalId").await;
        assert!(found.len() >= 3 && found.contains(&json!("P-606")), "{found:?} from {engine:?}");
        // The full name of one: nothing else is asked for.
        lists.check("/customers?q=ludmila+hrabovsky", "externalId", &["P-607"]).await;
        // Sorted by something else there is no place for guesses.
        lists.check("/customers?q=ludmila+hrabovsk&sort=externalId", "externalId", &["P-605", "P-607"]).await;
    }
}

#[tokio::test]
async fn a_loosely_matched_list_is_walked_once() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, PEOPLE).await;
        // More than are ranked: seventy share the given name.
        let list = "/customers?q=theodora+papadakisz";
        let whole = lists.values(&format!("{list}&limit=100"), "id").await;
        assert!(whole.len() >= 70, "{} from {engine:?}", whole.len());
        for limit in [7, 25, 50, 60] {
            let mut by_number = Vec::new();
            for page in 1..=whole.len().div_ceil(limit) {
                by_number.extend(lists.values(&format!("{list}&limit={limit}&page={page}"), "id").await);
            }
            assert_eq!(by_number, whole, "pages of {limit} from {engine:?}");
        }
        lists.check_walk(list).await;
    }
}

#[tokio::test]
async fn five_hundred_people_of_one_name_keep_their_order() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, PEOPLE).await;
        for list in ["/customers?q=maria+gonzalez", "/customers?q=maria+gonzales"] {
            let mut walked = Vec::new();
            for page in 1..=5 {
                walked.extend(lists.values(&format!("{list}&limit=100&page={page}"), "id").await);
            }
            let mut sorted = walked.clone();
            sorted.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            assert_eq!((walked.len(), &walked), (500, &sorted), "{list} from {engine:?}");
        }
    }
}
