//! What a row takes besides the ids of its path.

use schemars::JsonSchema;

use super::Operation;

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

/// No more than the token of a write that the answer has to include.
pub struct Reading;

impl Takes for Reading {
    fn describe(operation: &mut Operation<'_>) {
        operation.reads_writes();
    }
}
