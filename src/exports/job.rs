//! An export as a job: it appends to its file in the transaction of each chunk, so that a kill repeats nothing and leaves nothing out.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::records::{Records, Wanted, workbook};
use super::store::{self, Export};
use super::table::{Format, Layout};
use crate::app::App;
use crate::error::{Error, Result};
use crate::jobs::{Chunk, Kind, Lane, Next};
use crate::search::{Bookmark, Engine};
use crate::storage::{self, NewFile};
use crate::values::ids::{ExportId, FileId, UserId};
use crate::values::lsn::Lsn;

/// Records of a chunk: a second of work, and a megabyte or two.
const CHUNK_RECORDS: i64 = 5_000;

/// Bytes that are gathered before they are stored.
const STORED_BYTES: usize = 1 << 20;

/// Does an export.
///
/// What Elasticsearch has frozen outlives a worker, so another one goes on behind the last chunk. A snapshot of Postgres ends with its
/// connection, so such an export is one chunk. When what was frozen is gone, the export begins again.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportRecords {
    pub(super) export: ExportId,
    /// It shows at least what was committed before this LSN.
    pub(super) wanted: Option<u64>,
}

/// Where the next chunk begins.
#[derive(Default, Serialize, Deserialize)]
pub enum Cursor {
    #[default]
    Beginning,
    Behind {
        bookmark: Bookmark,
        written: Written,
    },
    /// A workbook is not written in parts: its records are staged, and this is left to do.
    Staged(Written),
}

/// What is written so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Written {
    records: i64,
    /// Where to.
    file: FileId,
}

impl Kind for ExportRecords {
    const NAME: &'static str = "export";
    const LANE: Lane = Lane::Bulk;
    type Cursor = Cursor;

    async fn run(&self, cursor: Cursor, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
        let export = store::find(&mut *chunk.connection, self.export, chunk.app.clock.now()).await?;
        let export = export.ok_or(Error::NotFound("export"))?;
        match cursor {
            Cursor::Beginning => {
                let file = beginning(&export, chunk).await?;
                self.begin(&export, file, chunk).await
            }
            Cursor::Behind { bookmark, written } => match go_on(&export, bookmark, written, chunk).await {
                Err(error) if error.code() == "view_expired" => {
                    tracing::info!(export = %self.export, "an export begins again: what was frozen is gone");
                    storage::clear(chunk.connection, written.file).await?;
                    chunk.succeed(-written.records);
                    self.begin(&export, written.file, chunk).await
                }
                outcome => outcome,
            },
            Cursor::Staged(written) => convert(&export, written, chunk).await,
        }
    }
}

impl ExportRecords {
    async fn begin(&self, export: &Export, file: FileId, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
        let plan = plan(chunk.app, export)?;
        let layout = plan.layout.clone();
        let (records, total) = Records::begin(chunk.app, plan, Wanted::Indexed(self.wanted.map(Lsn))).await?;
        chunk.expect(i64::try_from(total).unwrap_or(i64::MAX));
        storage::append(chunk.connection, file, layout.head().as_bytes()).await?;
        write(export, records, &layout, Written { records: 0, file }, chunk).await
    }
}

fn plan(app: &App, export: &Export) -> Result<Plan> {
    Plan::read(app, export.collection()?, &export.parameters()?, export.occasion())
}

/// The empty file that records are appended to.
async fn beginning(export: &Export, chunk: &mut Chunk<'_>) -> Result<FileId> {
    if export.format != Format::Xlsx.name() {
        return Ok(export.file());
    }
    let name = format!("{}.staged", export.file_name);
    let by = Some(UserId(export.created_by));
    let staged = NewFile { name: &name, by, created_at: export.created_at, expires_at: export.expires_at };
    storage::create(chunk.connection, staged).await
}

async fn go_on(export: &Export, bookmark: Bookmark, written: Written, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
    let plan = plan(chunk.app, export)?;
    let layout = plan.layout.clone();
    let records = Records::resume(chunk.app, plan, bookmark)?;
    write(export, records, &layout, written, chunk).await
}

/// Appends the records of a chunk.
async fn write(
    export: &Export,
    mut records: Records,
    layout: &Layout,
    mut written: Written,
    chunk: &mut Chunk<'_>,
) -> Result<Next<Cursor>> {
    let (mut gathered, before) = (Vec::new(), written.records);
    let bookmark = loop {
        let Some(page) = records.page().await? else { break None };
        written.records += i64::try_from(page.len()).unwrap_or(i64::MAX);
        gathered.extend(layout.body(&page)?);
        if gathered.len() >= STORED_BYTES {
            storage::append(chunk.connection, written.file, &gathered).await?;
            gathered.clear();
        }
        if written.records - before >= CHUNK_RECORDS && records.engine() == Engine::Elasticsearch {
            break records.bookmark();
        }
    };
    storage::append(chunk.connection, written.file, &gathered).await?;
    chunk.succeed(written.records - before);
    match bookmark {
        Some(bookmark) => Ok(Next::Chunk(Cursor::Behind { bookmark, written })),
        None if layout.format == Format::Xlsx => Ok(Next::Chunk(Cursor::Staged(written))),
        None => finish(export, written, chunk).await,
    }
}

/// Makes the workbook of the records that are staged.
async fn convert(export: &Export, written: Written, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
    let Plan { collection, layout, .. } = plan(chunk.app, export)?;
    let staged = storage::stream(chunk.app.db.jobs.clone(), written.file);
    let workbook = workbook(lines(staged), layout, collection.name).await?;
    storage::clear(chunk.connection, export.file()).await?;
    storage::fill(chunk.connection, export.file(), workbook).await?;
    storage::remove(chunk.connection, written.file).await?;
    finish(export, written, chunk).await
}

async fn finish(export: &Export, written: Written, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
    store::complete(chunk.connection, ExportId(export.id), written.records).await?;
    chunk.offer(format!("/api/v1/exports/{}/file", export.id));
    Ok(Next::Finished)
}

/// Splits parts of a text into their whole lines.
fn lines(parts: impl Stream<Item = Result<Bytes>> + Send + 'static) -> impl Stream<Item = Result<Vec<Vec<u8>>>> + Send {
    stream::try_unfold((parts.boxed(), Vec::new()), async |(mut parts, mut rest): (BoxStream<'static, _>, Vec<u8>)| {
        let Some(part) = parts.try_next().await? else { return Ok(None) };
        rest.extend_from_slice(&part);
        let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let unfinished = rest.split_off(end);
        let lines = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        Ok(Some((lines, (parts, unfinished))))
    })
}
