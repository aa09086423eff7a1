//! Reading a form with a file (`multipart/form-data`, RFC 7578) part by part, in little memory whatever the client sends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use multer::{Constraints, Multipart, SizeLimit};
use tokio::time::{Instant, timeout};

use crate::api::request::Body;
use crate::error::{Error, Result, clipped};

/// Longest text of a field beside the file.
const TEXT_BYTES: u64 = 4 * 1024;

/// Most bytes before the content of a part: what comes before the first one, a boundary, headers. The parser keeps them in memory.
const HEAD_BYTES: usize = 16 * 1024;

/// Least bytes of a file in each wait for more: some 50 kbit/s. A slower client would keep its place among the uploads for hours.
const LEAST_BYTES: usize = 64 * 1024;

/// The parts that a form has.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The part with the file.
    pub file: &'static str,
    /// Further parts, each with a short text.
    pub fields: &'static [&'static str],
}

/// The parts of one form as they come.
pub(super) struct Parts<'a> {
    form: &'a Form,
    parser: Multipart<'a>,
    /// Bytes that the parser has got since it last gave out content.
    unparsed: Arc<AtomicUsize>,
    limit: u64,
    /// Longest wait for something to come.
    patience: Duration,
}

/// A part of a form.
pub(super) enum Part<'a> {
    File(Box<FilePart<'a>>),
    Text(&'static str, String),
}

/// The file as it comes.
pub(super) struct FilePart<'a> {
    pub(super) name: String,
    field: multer::Field<'a>,
    unparsed: Arc<AtomicUsize>,
    limit: u64,
    patience: Duration,
    since: Instant,
    /// Bytes that came since then.
    came: usize,
}

impl<'a> Parts<'a> {
    pub(super) fn new(form: &'a Form, body: &'a mut Body, boundary: String, limit: u64, patience: Duration) -> Self {
        let sizes = SizeLimit::new().whole_stream(limit).per_field(TEXT_BYTES).for_field(form.file, limit);
        let names = [&[form.file], form.fields].concat();
        let constraints = Constraints::new().size_limit(sizes).allowed_fields(names);
        let unparsed = Arc::new(AtomicUsize::new(0));
        let paced = Paced { body, unparsed: Arc::clone(&unparsed), rests: false };
        Self { form, parser: Multipart::with_constraints(paced, boundary, constraints), unparsed, limit, patience }
    }

    /// Reads up to the next part; of a text part all of it.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'a>>> {
        let next = timeout(self.patience, self.parser.next_field()).await.map_err(|_| Error::BodyTimeout)?;
        let Some(field) = next.map_err(|error| refused(error, self.limit))? else { return Ok(None) };
        self.unparsed.store(0, Ordering::Relaxed);
        if field.name() == Some(self.form.file) {
            let (name, unparsed) = (field.file_name().unwrap_or_default().to_owned(), Arc::clone(&self.unparsed));
            let (limit, patience) = (self.limit, self.patience);
            let part = FilePart { name, field, unparsed, limit, patience, since: Instant::now(), came: 0 };
            return Ok(Some(Part::File(Box::new(part))));
        }
        let name = self.form.fields.iter().find(|name| field.name() == Some(*name)).copied().unwrap_or_default();
        let text = timeout(self.patience, field.bytes()).await.map_err(|_| Error::BodyTimeout)?;
        let text = String::from_utf8(text.map_err(|error| refused(error, TEXT_BYTES))?.to_vec());
        self.unparsed.store(0, Ordering::Relaxed);
        let text = text.map_err(|_| bad_form(format!("{name} is not UTF-8")))?;
        Ok(Some(Part::Text(name, text)))
    }
}

impl FilePart<'_> {
    /// Waits for more of the file; none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let next = timeout(self.patience, self.field.chunk()).await.map_err(|_| Error::BodyTimeout)?;
        self.unparsed.store(0, Ordering::Relaxed);
        let Some(chunk) = next.map_err(|error| refused(error, self.limit))? else { return Ok(None) };
        self.came += chunk.len();
        if self.since.elapsed() > self.patience {
            if self.came < LEAST_BYTES {
                return Err(Error::BodyTimeout);
            }
            (self.since, self.came) = (Instant::now(), 0);
        }
        Ok(Some(chunk))
    }
}

/// Hands the body to the parser chunk by chunk. The parser takes all that is ready before it looks at any of it, and keeps the head
/// of a part whole however long it is.
struct Paced<'a> {
    body: &'a mut Body,
    unparsed: Arc<AtomicUsize>,
    /// After a chunk the parser has its turn.
    rests: bool,
}

impl Stream for Paced<'_> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if std::mem::take(&mut self.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.unparsed.load(Ordering::Relaxed) > HEAD_BYTES {
            return Poll::Ready(Some(Err(bad_form(format!("more than {HEAD_BYTES} bytes come before the content of a part")))));
        }
        let next = ready!(self.body.as_mut().poll_next(cx));
        self.rests = true;
        Poll::Ready(next.map(|chunk| {
            let chunk = chunk.map_err(|_| broken())?;
            self.unparsed.fetch_add(chunk.len(), Ordering::Relaxed);
            Ok(chunk)
        }))
    }
}

/// What the client did wrong.
fn refused(error: multer::Error, limit: u64) -> Error {
    match error {
        multer::Error::FieldSizeExceeded { limit, .. } => Error::TooLarge { limit },
        multer::Error::StreamSizeExceeded { .. } => Error::TooLarge { limit },
        multer::Error::UnknownField { field_name } => {
            bad_form(format!("there is no part named {:?}", clipped(&field_name.unwrap_or_default())))
        }
        multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteHeaders | multer::Error::IncompleteStream => {
            broken()
        }
        multer::Error::StreamReadFailed(cause) => cause.downcast().map_or_else(|_| broken(), |error| *error),
        error => bad_form(error.to_string()),
    }
}

fn broken() -> Error {
    Error::malformed("broken_body", "the body ended before it was complete")
}

pub(super) fn bad_form(detail: impl Into<String>) -> Error {
    Error::malformed("bad_form", detail)
}
