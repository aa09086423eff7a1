//! The records of an export, as lists show them, and the file that they become.

use std::fs::File;
use std::pin::pin;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::plan::Plan;
use super::table::{Format, Layout, Workbook};
use crate::api::{Authors, RecordWriter, paging};
use crate::app::App;
use crate::error::{Error, Result};
use crate::metrics;
use crate::search::parse::Shape;
use crate::search::query::{Engine, Hits};
use crate::search::{Bookmark, Collection, Walk, document};
use crate::values::lsn::Lsn;
use crate::values::personal::Disclosure;

/// Bytes of a workbook that are read from the disk at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Pages that wait for the writer of a workbook.
const WAITING_PAGES: usize = 2;

/// What a list has had at one moment, page by page.
pub(super) struct Records {
    app: App,
    collection: &'static Collection,
    shape: Shape,
    disclosure: Disclosure,
    walk: Walk,
    /// The first page, which was read to count the records.
    read: Option<Hits>,
}

impl Records {
    /// Begins with what was committed before `wanted`; answers how many records there are, too.
    pub(super) async fn begin(app: &App, plan: Plan, wanted: Wanted) -> Result<(Self, u64)> {
        let Plan { collection, list, disclosure, .. } = plan;
        let index = async {
            match wanted {
                Wanted::Indexed(lsn) => paging::index(app, collection, lsn).await,
                Wanted::Stored => None,
            }
        };
        let (walk, first) = app.search.walk(collection, list.query, index).await?;
        let total = first.total.map_or(0, |total| total.value);
        Ok((Self { app: app.clone(), collection, shape: list.shape, disclosure, walk, read: Some(first) }, total))
    }

    /// Goes on behind a bookmark.
    ///
    /// # Errors
    /// `view_expired`: it has to begin again.
    pub(super) fn resume(app: &App, plan: Plan, bookmark: Bookmark) -> Result<Self> {
        let Plan { collection, list, disclosure, .. } = plan;
        let walk = app.search.resume_walk(collection, list.query, bookmark)?;
        Ok(Self { app: app.clone(), collection, shape: list.shape, disclosure, walk, read: None })
    }

    /// None at the end, and if only this process can go on.
    pub(super) fn bookmark(self) -> Option<Bookmark> {
        self.walk.bookmark()
    }

    pub(super) fn engine(&self) -> Engine {
        self.walk.engine()
    }

    /// The next records, each as JSON; none at the end.
    pub(super) async fn page(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        let hits = match self.read.take() {
            Some(first) => Some(first),
            None => self.walk.page().await?,
        };
        let Some(hits) = hits else { return Ok(None) };
        metrics::EXPORTED_RECORDS.with_label_values(&[self.collection.name]).inc_by(hits.documents.len() as u64);
        let records = hits.documents.iter().map(|document| document::record(document));
        let authors = Authors::of(&self.app, &self.app.db.read, records.clone()).await?;
        let writer =
            RecordWriter::open(&self.app, self.disclosure, self.collection, &self.shape, authors, records.clone()).await?;
        let write = |record: &[u8]| {
            let mut written = Vec::with_capacity(record.len());
            writer.write(record, &mut written).map(|()| written)
        };
        records.map(write).collect::<Result<_>>().map(Some)
    }
}

/// What an export has to show.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// At least what was committed up to an LSN, by the index if that has it.
    Indexed(Option<Lsn>),
    /// All that is committed, by Postgres.
    Stored,
}

/// An export that has begun.
pub struct Begun {
    /// Records of the list.
    pub total: u64,
    pub engine: Engine,
    /// The file, as it is read. What is frozen for it ends with it.
    pub file: BoxStream<'static, Result<Bytes>>,
}

/// Begins an export of what was committed before `wanted`.
pub async fn begin(app: &App, plan: Plan, wanted: Wanted) -> Result<Begun> {
    let layout = plan.layout.clone();
    let (records, total) = Records::begin(app, plan, wanted).await?;
    Ok(Begun { total, engine: records.engine(), file: file(records, layout) })
}

fn file(records: Records, layout: Layout) -> BoxStream<'static, Result<Bytes>> {
    match layout.format {
        Format::Csv | Format::Jsonl => text(records, layout).boxed(),
        Format::Xlsx => {
            let name = records.collection.name;
            let whole = async move { Ok::<_, Error>(chunks(workbook(pages(records), layout, name).await?)) };
            stream::once(whole).try_flatten().boxed()
        }
    }
}

fn text(records: Records, layout: Layout) -> impl Stream<Item = Result<Bytes>> + Send {
    let head = Some(layout.head()).filter(|head| !head.is_empty()).map(|head| Ok(Bytes::from(head)));
    let body = pages(records).map(move |page| Ok(Bytes::from(layout.body(&page?)?)));
    stream::iter(head).chain(body)
}

/// Each page of some records, as JSON.
fn pages(records: Records) -> impl Stream<Item = Result<Vec<Vec<u8>>>> + Send {
    stream::try_unfold(records, async |mut records| Ok(records.page().await?.map(|page| (page, records))))
}

/// Reads a file to its end.
fn chunks(file: File) -> impl Stream<Item = Result<Bytes>> + Send {
    ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK_BYTES).map_err(Error::internal)
}

/// A step of the thread that writes a workbook.
enum Step {
    Write(Vec<Vec<u8>>),
    Finish,
}

/// Writes a workbook, on a thread that may block, while its records are read.
pub(super) async fn workbook(
    pages: impl Stream<Item = Result<Vec<Vec<u8>>>> + Send,
    layout: Layout,
    name: &'static str,
) -> Result<File> {
    let (sender, mut steps) = mpsc::channel(WAITING_PAGES);
    let written = tokio::task::spawn_blocking(move || {
        let mut workbook = Workbook::new(layout, name)?;
        while let Some(step) = steps.blocking_recv() {
            match step {
                Step::Write(page) => workbook.write(page.iter().map(Vec::as_slice))?,
                Step::Finish => return workbook.finish(),
            }
        }
        Err(Error::internal("no more records came for the workbook"))
    });
    let mut pages = pin!(pages);
    // If the writer has failed, it says why.
    while let Some(page) = pages.try_next().await? {
        if sender.send(Step::Write(page)).await.is_err() {
            break;
        }
    }
    sender.send(Step::Finish).await.ok();
    written.await.map_err(Error::internal)?
}
