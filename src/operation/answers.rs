//! What a row answers when all is well.

use std::marker::PhantomData;

use schemars::JsonSchema;

use super::Operation;

/// What a row of `routes!` answers. A type with a JSON Schema is the body of a 200.
pub trait Answers {
    fn describe(operation: &mut Operation<'_>);
}

impl<T: JsonSchema> Answers for T {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<T>();
    }
}

/// 201 with what was created, and its address.
pub struct Created<T>(PhantomData<T>);

impl<T: Answers> Answers for Created<T> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
        operation.status = 201;
        operation.headers.insert("Location");
    }
}

/// 202: the work goes on after the answer.
pub struct Accepted<T>(PhantomData<T>);

impl<T: Answers> Answers for Accepted<T> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
        operation.status = 202;
    }
}

/// 200 with what was done. Or 202 with the job that does it: for much work, and for clients that prefer that.
pub struct OrJob<T, J>(PhantomData<(T, J)>);

impl<T: Answers, J: JsonSchema> Answers for OrJob<T, J> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
        operation.also_answers::<J>(202);
    }
}

/// A part of a record, with the version of the whole.
pub struct Part<T>(PhantomData<T>);

impl<T: Answers> Answers for Part<T> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
        operation.headers.insert("ETag");
    }
}

/// 204.
pub struct NoContent;

impl Answers for NoContent {
    fn describe(operation: &mut Operation<'_>) {
        operation.status = 204;
    }
}

/// Plain text.
pub struct Text;

impl Answers for Text {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_text("text/plain");
    }
}
