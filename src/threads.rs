//! Threads of low priority for requests that need a processor for long, so that these take the time that no other request needs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Hash passwords: each takes 19 MiB and a core for tens of milliseconds.
pub static PASSWORDS: Threads = Threads::new("passwords");

/// Parse large bodies: each takes a core for milliseconds.
pub static BODIES: Threads = Threads::new("bodies");

/// Tasks of a kind at once.
const THREADS: usize = 2;

/// Of Linux' scale from -20 to 19; everything else in the server has 0. On a busy core such a thread gets about a tenth of the
/// time, so its requests become slow, and never stop.
const NICENESS: i32 = 10;

type Task = Box<dyn FnOnce() + Send>;

/// The threads for one kind of task, started with the first.
pub struct Threads {
    name: &'static str,
    /// What waits: as much as there may be requests in progress.
    queue: OnceLock<Sender<Task>>,
}

impl Threads {
    const fn new(name: &'static str) -> Self {
        Self { name, queue: OnceLock::new() }
    }

    /// Runs a task on one of the threads, unless the caller has gone when its turn comes.
    pub async fn run<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, result) = oneshot::channel();
        let task = move || {
            if !sender.is_closed() {
                sender.send(task()).ok();
            }
        };
        let queue = self.queue.get_or_init(|| self.start());
        queue.send(Box::new(task)).map_err(|_| Error::internal("the threads have ended"))?;
        result.await.map_err(Error::internal)
    }

    fn start(&self) -> Sender<Task> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 1..=THREADS {
            let receiver = Arc::clone(&receiver);
            let started = thread::Builder::new().name(format!("{} {number}", self.name)).spawn(move || work(&receiver));
            started.expect("a thread can be started");
        }
        sender
    }
}

fn work(queue: &Mutex<Receiver<Task>>) {
    // Of this thread alone: Linux keeps a niceness for each (setpriority(2)).
    rustix::process::setpriority_process(None, NICENESS).ok();
    loop {
        let Ok(task) = queue.lock().recv() else { return };
        catch_unwind(AssertUnwindSafe(task)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_run_with_low_priority_and_survive_a_panic() {
        for _ in 0..2 * THREADS {
            assert!(PASSWORDS.run(|| panic!("a broken hash")).await.is_err());
        }
        let niceness = PASSWORDS.run(|| rustix::process::getpriority_process(None)).await.unwrap();
        assert_eq!(niceness, Ok(NICENESS));
        assert_eq!(rustix::process::getpriority_process(None), Ok(0), "other threads keep theirs");
    }
}
