//! What a row takes besides the ids of its path.

use std::marker::PhantomData;

use schemars::JsonSchema;

use super::{Effect, Operation};

/// What a row of `routes!` takes. A type with a JSON Schema is the body; others describe parameters.
pub trait Takes {
    fn describe(operation: &mut Operation<'_>);
}

impl<T: JsonSchema> Takes for T {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes::<T>();
    }
}

/// Neither body nor parameters.
pub struct Nothing;

impl Takes for Nothing {
    fn describe(_: &mut Operation<'_>) {}
}

/// A request that changes what has no version.
pub struct Unversioned<T>(PhantomData<T>);

impl<T: Takes> Takes for Unversioned<T> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
        operation.effect = Effect::WritesUnversioned;
    }
}
