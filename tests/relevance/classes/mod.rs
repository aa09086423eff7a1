//! Classes of queries about generated people, their accounts and payments.

mod names;
mod numbers;
mod typos;
mod world;

use std::collections::HashSet;

use uuid::Uuid;

use self::world::{Person, World};
use super::query::{Query, ask, row};
use super::report;
use crate::harness::dice::Dice;
use crate::harness::engines::Engines;

/// Queries of a class.
const QUERIES: usize = 20;
/// People that are looked at for the queries of a class; not everyone has an accent.
const ATTEMPTS: usize = 20_000;

/// Queries of one kind.
struct Class {
    name: String,
    queries: Vec<Query>,
}

impl Class {
    /// Draws people until enough of them give a query. A class has dice of its own, so that another one changes nothing here.
    fn draw(name: &str, world: &World, mut make: impl FnMut(&Person, &mut Dice) -> Option<Query>) -> Self {
        let seed = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut dice = Dice::new(seed);
        let mut queries = Vec::new();
        for _ in 0..ATTEMPTS {
            let person = &world.people[usize::try_from(dice.roll(world.people.len() as u64)).unwrap()];
            queries.extend(make(person, &mut dice));
            if queries.len() == QUERIES {
                break;
            }
        }
        Self { name: name.into(), queries }
    }
}

/// A search for customers.
fn customers(typed: impl Into<String>, relevant: HashSet<Uuid>) -> Query {
    Query { list: "/customers", typed: typed.into(), relevant }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_queries_finds_what_it_has_to() {
    let engines = Engines::start(world::fill).await;
    let world = World::read(engines.database()).await;
    let [elasticsearch, postgres] = engines.clients().await;
    let mut rows = Vec::new();
    for class in [names::classes(&world), typos::classes(&world), numbers::classes(&world)].into_iter().flatten() {
        let (one, other) = tokio::join!(ask(&elasticsearch, &class.queries), ask(&postgres, &class.queries));
        let queries: Vec<&Query> = class.queries.iter().collect();
        for (system, answers) in [("elasticsearch", one), ("postgres", other)] {
            rows.push(row(&class.name, system, &queries, &answers.iter().collect::<Vec<_>>()));
        }
    }
    report::check("classes", &rows);
}
