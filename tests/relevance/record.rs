//! People of two sources with their distorted twins: FEBRL's, and those that this suite makes up.

use std::collections::HashSet;

use serde::Deserialize;
use uuid::Uuid;

use super::errors;
use crate::harness::database::Database;
use crate::harness::dice::Dice;

/// A person with an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The same for a person and its distorted twin.
    pub(super) number: u32,
    pub(super) given: String,
    pub(super) family: String,
    house: String,
    pub(super) street: String,
    more: String,
    pub(super) city: String,
    code: String,
    region: String,
}

/// People, and their distorted twins.
pub(super) struct Source {
    pub(super) originals: Vec<Record>,
    pub(super) distorted: Vec<Record>,
}

impl Record {
    pub(super) fn id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.number) + 1)
    }

    pub(super) fn name(&self) -> String {
        joined(&[&self.given, &self.family])
    }

    /// What agents type of a person whom a name does not tell from others.
    pub(super) fn name_and_address(&self) -> String {
        joined(&[&self.given, &self.family, &self.street, &self.city])
    }
}

fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// A sample of FEBRL's fourth data set in the fixtures, or all of it from the folder that `FEBRL_DIR` names.
pub(super) fn febrl() -> Source {
    let [originals, distorted] = match std::env::var("FEBRL_DIR") {
        Ok(folder) => ["dataset4a.csv", "dataset4b.csv"].map(|file| {
            let path = std::path::Path::new(&folder).join(file);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        }),
        Err(_) => {
            [include_str!("../fixtures/febrl/originals.csv"), include_str!("../fixtures/febrl/duplicates.csv")].map(Into::into)
        }
    };
    Source { originals: read(&originals), distorted: read(&distorted) }
}

/// Reads rows such as `rec-17-org, ann, smith, 8, stanley street, …`.
fn read(file: &str) -> Vec<Record> {
    let record = |line: &str| {
        let mut cells = line.split(',').map(|cell| cell.trim().to_owned());
        let [id, given, family, house, street, more, city, code, region] = std::array::from_fn(|_| cells.next().unwrap());
        let number = id.split('-').nth(1).unwrap().parse().unwrap();
        Record { number, given, family, house, street, more, city, code, region }
    };
    file.lines().skip(1).filter(|line| !line.trim().is_empty()).map(record).collect()
}

/// The words of one country from which `collections seed` makes people.
#[derive(Deserialize)]
struct Words {
    given: Vec<String>,
    surnames: Vec<String>,
    stems: Vec<String>,
    endings: Vec<String>,
    streets: Vec<String>,
    /// Name, region and pattern of the postal code.
    cities: Vec<[String; 3]>,
}

/// So many people of a dozen countries, some of them with a twin that has errors of other kinds than FEBRL's.
pub(super) fn international(count: usize, distorted: usize, seed: u64) -> Source {
    let countries: Vec<Words> = serde_json::from_str(include_str!("../../src/cli/seed/locales.json")).unwrap();
    let mut dice = Dice::new(seed);
    let (mut originals, mut names) = (Vec::new(), HashSet::new());
    while originals.len() < count {
        let words = one(&countries, &mut dice);
        let family = match dice.roll(3) {
            0 => one(&words.surnames, &mut dice).clone(),
            _ => format!("{}{}", one(&words.stems, &mut dice), one(&words.endings, &mut dice)),
        };
        let [city, region, _] = one(&words.cities, &mut dice);
        let record = Record {
            number: originals.len() as u32,
            given: one(&words.given, &mut dice).clone(),
            family,
            house: (1 + dice.roll(250)).to_string(),
            street: one(&words.streets, &mut dice).clone(),
            city: city.clone(),
            region: region.clone(),
            ..Record::default()
        };
        if names.insert(record.name()) {
            originals.push(record);
        }
    }
    let distorted = originals.iter().take(distorted).map(|record| errors::distort(record, &mut dice)).collect();
    Source { originals, distorted }
}

fn one<'a, T>(from: &'a [T], dice: &mut Dice) -> &'a T {
    &from[usize::try_from(dice.roll(from.len() as u64)).unwrap()]
}

/// Inserts people with their addresses.
pub(super) async fn insert(database: &Database, records: &[Record]) {
    let texts = |text: fn(&Record) -> String| records.iter().map(text).collect::<Vec<String>>();
    let ids: Vec<Uuid> = records.iter().map(Record::id).collect();
    sqlx::query(
        r"
        insert into customers (id, name, given_name, family_name)
        select id, coalesce(nullif(name, ''), '?'), nullif(given, ''), nullif(family, '')
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as people(id, name, given, family)
        ",
    )
    .bind(&ids)
    .bind(texts(Record::name))
    .bind(texts(|record| record.given.clone()))
    .bind(texts(|record| record.family.clone()))
    .execute(&database.pool)
    .await
    .unwrap();
    sqlx::query(
        r"
        insert into addresses (id, customer_id, line1, line2, city, postal_code, region)
        select gen_random_uuid(), id, coalesce(nullif(line1, ''), '?'), nullif(line2, ''), nullif(city, ''), nullif(code, ''), nullif(region, '')
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as places(id, line1, line2, city, code, region)
        ",
    )
    .bind(&ids)
    .bind(texts(|record| joined(&[&record.house, &record.street])))
    .bind(texts(|record| record.more.clone()))
    .bind(texts(|record| record.city.clone()))
    .bind(texts(|record| record.code.clone()))
    .bind(texts(|record| record.region.clone()))
    .execute(&database.pool)
    .await
    .unwrap();
}
