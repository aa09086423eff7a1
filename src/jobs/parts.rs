//! Parts: what a job works on, stored beside it, because it is too much for its arguments. A chunk does one part.

use serde::Serialize;
use sqlx::PgConnection;

use crate::error::{Error, Result};
use crate::values::ids::JobId;

/// Parts that one statement stores: a megabyte or two.
const STORED_AT_ONCE: usize = 50;

/// Stores the parts of a job, each JSON, in the transaction that enqueues it. They are deleted with the job.
pub async fn store(connection: &mut PgConnection, job: JobId, parts: impl Iterator<Item: Serialize>) -> Result<()> {
    let mut parts = parts.map(|part| serde_json::to_string(&part).map_err(Error::internal));
    let mut first = 0_i64;
    loop {
        let some: Vec<String> = parts.by_ref().take(STORED_AT_ONCE).collect::<Result<_>>()?;
        if some.is_empty() {
            return Ok(());
        }
        let stored = sqlx::query!(
            r#"
            insert into job_parts (job_id, number, content)
            select $1, ($2 + part.place - 1)::integer, part.content::json
            from unnest($3::text[]) with ordinality as part (content, place)
            "#,
            job.0,
            first,
            &some,
        );
        first += stored.execute(&mut *connection).await?.rows_affected().cast_signed();
    }
}

/// Reads a part by its number, from zero on; none behind the last.
pub async fn read(connection: &mut PgConnection, job: JobId, number: i32) -> sqlx::Result<Option<String>> {
    let part = sqlx::query_scalar!(
        r#"select content::text as "content!" from job_parts where job_id = $1 and number = $2"#,
        job.0,
        number,
    );
    part.fetch_optional(connection).await
}

/// Finds members of parts that are arrays, by their `id`.
pub async fn find(connection: &mut PgConnection, job: JobId, ids: &[String]) -> sqlx::Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"
        select member::text as "member!"
        from job_parts, json_array_elements(content) as member
        where job_id = $1
        and member ->> 'id' = any($2)
        "#,
        job.0,
        ids,
    );
    found.fetch_all(connection).await
}
