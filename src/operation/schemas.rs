//! The schemas that operations share, by name.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// Collects the named schemas of what is taken (read by serde) and answered (written by serde).
pub struct Schemas {
    taken: SchemaGenerator,
    answered: SchemaGenerator,
    /// Those of no type.
    others: Map<String, Value>,
}

impl Default for Schemas {
    fn default() -> Self {
        let generator = |settings: SchemaSettings| {
            settings.with(|settings| {
                settings.definitions_path = "/components/schemas".into();
            })
        };
        Self {
            taken: generator(SchemaSettings::draft2020_12().for_deserialize()).into_generator(),
            answered: generator(SchemaSettings::draft2020_12().for_serialize()).into_generator(),
            others: Map::new(),
        }
    }
}

impl Schemas {
    /// Returns the schema of a type that requests hold, or a reference to it.
    pub fn taken<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().to_value()
    }

    /// Returns the schema of a type that answers hold, or a reference to it.
    pub fn answered<T: JsonSchema>(&mut self) -> Value {
        self.answered.subschema_for::<T>().to_value()
    }

    /// Gives a schema of no type a name.
    pub fn name(&mut self, name: &str, schema: Value) {
        self.others.insert(name.to_owned(), schema);
    }

    /// Returns all named schemas. An object that is taken has no other members than those it describes.
    #[must_use]
    pub fn finish(mut self) -> Map<String, Value> {
        let mut all = self.answered.take_definitions(true);
        all.extend(self.others);
        for (name, mut schema) in self.taken.take_definitions(true) {
            if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
                schema["additionalProperties"] = false.into();
            }
            let other = all.get(&name);
            debug_assert!(other.is_none_or(|other| *other == schema), "two schemas are named {name}");
            all.insert(name, schema);
        }
        all
    }
}

/// Returns a reference to a schema by its name.
#[must_use]
pub fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Returns the schema of a type as it is written, without references.
#[must_use]
pub fn inline<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    T::json_schema(&mut settings.into_generator())
}
