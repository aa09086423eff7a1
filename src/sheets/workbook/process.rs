//! The process that reads a workbook, as the server sees it.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::frame::Frame;
use crate::sheets::Limits;
use crate::sheets::error::Error;
use crate::sheets::source::Source;

/// The exit status of a Rust program that panicked.
const PANICKED: i32 = 101;

/// How long a process may take to end after its last answer.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// A running process; killed when this value is dropped.
pub(super) struct Process {
    child: Child,
    answers: BufReader<ChildStdout>,
    memory: u64,
    patience: Duration,
}

impl Process {
    /// Starts a process that surveys the file, or reads one of its sheets.
    pub(super) fn start(source: &Source, sheet: Option<&str>, limits: &Limits) -> Result<Self, Error> {
        let mut command = Command::new(&limits.program);
        command.arg("read-workbook").args(["--ending", source.ending().as_deref().unwrap_or("")]);
        command.args(["--memory", &limits.memory.to_string()]);
        command.args(["--cpu-seconds", &limits.read_timeout.as_secs().to_string()]);
        command.args(["--max-rows", &limits.max_rows.to_string()]);
        command.args(["--max-columns", &limits.max_columns.to_string()]);
        if let Some(sheet) = sheet {
            command.arg(format!("--sheet={sheet}"));
        }
        let file = Stdio::from(source.file.try_clone()?);
        // What calamine logs may quote cells.
        command.env_clear().stdin(file).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let answers = child.stdout.take().ok_or_else(|| Error::internal("the process has no output"))?;
        Ok(Self { child, answers: BufReader::new(answers), memory: limits.memory, patience: limits.read_timeout })
    }

    /// Waits for the next frame, for a bounded time.
    pub(super) async fn next(&mut self) -> Result<Frame, Error> {
        match timeout(self.patience, Frame::read(&mut self.answers)).await {
            Ok(Ok(Some(Frame::Failed(error)))) => Err(error),
            Ok(Ok(Some(frame))) => Ok(frame),
            Ok(Ok(None)) => Err(self.reason().await),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::TookTooLong),
        }
    }

    /// Why the process ended in the middle.
    async fn reason(&mut self) -> Error {
        match timeout(LAST_MOMENT, self.child.wait()).await {
            Ok(Ok(status)) => self.meaning(status),
            Ok(Err(error)) => error.into(),
            Err(_) => Error::TookTooLong,
        }
    }

    fn meaning(&self, status: ExitStatus) -> Error {
        const KILLED: i32 = 9;
        const ABORTED: i32 = 6;
        const CPU_TIME: i32 = 24;
        match (status.signal(), status.code()) {
            // An allocation failed; or the kernel chose the process when its own memory ran out.
            (Some(ABORTED | KILLED), _) => Error::TooLargeToRead { memory: self.memory },
            (Some(CPU_TIME), _) => Error::TookTooLong,
            (Some(_), _) | (None, Some(PANICKED)) => Error::Damaged { place: "the workbook".to_owned() },
            (None, _) => Error::internal(format!("the reader of workbooks ended: {status}")),
        }
    }
}
