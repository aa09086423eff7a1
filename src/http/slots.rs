//! Slots: how many requests are worked on at once, and how many wait for their bodies meanwhile.
//!
//! A request holds a slot only while there is work to do. A client that sends its body byte by byte, or a queue in front of a
//! password or a row, must not keep others from being served.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Http;
use crate::error::{Error, Result};

/// Unfinished bodies for each slot. Most are a few bytes that have just not arrived, so there may be many.
const BODIES_PER_SLOT: usize = 16;

/// Bytes of a body that are not counted: nearly every request has fewer, and is not held up by larger ones.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// All other bytes of the bodies of unfinished requests, in KiB.
const BODY_KIB: usize = 32 * 1024;

/// Files that come at once: each writes to the disk, and few users upload at the same moment.
const UPLOADS: usize = 16;

/// The slots of one listener.
#[derive(Clone)]
pub(crate) struct Slots {
    work: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    body_kib: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Slots {
    pub(crate) fn new(limits: &Http) -> Self {
        let bodies = limits.max_in_flight * BODIES_PER_SLOT;
        let permits = [limits.max_in_flight, bodies, BODY_KIB, UPLOADS];
        let [work, bodies, body_kib, uploads] = permits.map(|permits| Arc::new(Semaphore::new(permits)));
        Self { work, bodies, body_kib, uploads }
    }

    /// The slot of one request, not taken yet.
    pub(crate) fn slot(&self) -> Slot {
        Slot(Arc::new(Inner { slots: self.clone(), held: Mutex::default() }))
    }
}

/// The slot of one request, given back when the request has ended.
#[derive(Clone)]
pub struct Slot(Arc<Inner>);

struct Inner {
    slots: Slots,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Slot {
    /// Takes the slot, or refuses the request at once.
    pub(crate) fn take(&self) -> Result<()> {
        let permit = Arc::clone(&self.0.slots.work).try_acquire_owned();
        let permit = permit.map_err(|_| Error::busy("overloaded", "the server is at its limit of concurrent requests"))?;
        *self.0.held.lock() = Some(permit);
        Ok(())
    }

    /// Leaves the slot to others while there is nothing to do but wait; fails if none is free afterwards.
    pub async fn leave_during<T>(&self, waiting: impl Future<Output = T>) -> Result<T> {
        let mut waiting = pin!(waiting);
        // Most bodies are there already, and most rows are free.
        if let Poll::Ready(done) = poll!(waiting.as_mut()) {
            return Ok(done);
        }
        // A probe has no slot to leave and needs none.
        let Some(permit) = self.0.held.lock().take() else { return Ok(waiting.await) };
        drop(permit);
        let waited = waiting.await;
        self.take().map(|()| waited)
    }

    /// Leaves the slot for good.
    pub(crate) fn give_back(&self) {
        self.0.held.lock().take();
    }

    /// Begins to wait for a body.
    pub(crate) fn expect_body(&self) -> Result<BodyRoom> {
        let slots = &self.0.slots;
        let place = Arc::clone(&slots.bodies).try_acquire_owned().map_err(|_| too_many_bodies())?;
        Ok(BodyRoom { body_kib: Arc::clone(&slots.body_kib), counted: None, _place: place })
    }

    /// Begins to wait for a file; others wait for the place until it is dropped.
    pub(crate) fn expect_upload(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.0.slots.uploads).try_acquire_owned();
        place.map_err(|_| Error::busy("too_many_uploads", "as many files as the server takes at once are coming"))
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("is_held", &self.0.held.lock().is_some()).finish()
    }
}

/// The memory of one body: its place among the unfinished ones, and its share of all their bytes.
#[derive(Debug)]
pub(crate) struct BodyRoom {
    body_kib: Arc<Semaphore>,
    counted: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
}

impl BodyRoom {
    /// Makes room for a body that has grown to this many bytes.
    pub(crate) fn grow(&mut self, length: usize) -> Result<()> {
        let counted = self.counted.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = length.saturating_sub(UNCOUNTED_BYTES).div_ceil(1024).saturating_sub(counted);
        let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) else { return Ok(()) };
        let permit = Arc::clone(&self.body_kib).try_acquire_many_owned(more).map_err(|_| too_many_bodies())?;
        match &mut self.counted {
            Some(counted) => counted.merge(permit),
            None => self.counted = Some(permit),
        }
        Ok(())
    }
}

fn too_many_bodies() -> Error {
    Error::busy("overloaded", "the server waits for as many request bodies as it can")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Slots {
        let [work, bodies, body_kib, uploads] = [1, 2, 10, 1].map(|permits| Arc::new(Semaphore::new(permits)));
        Slots { work, bodies, body_kib, uploads }
    }

    #[tokio::test]
    async fn a_slot_that_is_left_serves_another_request() {
        let slots = slots();
        let (one, two) = (slots.slot(), slots.slot());
        one.take().unwrap();
        assert_eq!(two.take().unwrap_err().code(), "overloaded");
        let other = async {
            tokio::task::yield_now().await;
            two.take().unwrap();
        };
        one.leave_during(other).await.unwrap_err();
        drop(two);
        one.take().unwrap();
        one.leave_during(std::future::ready(())).await.unwrap();
        one.leave_during(tokio::task::yield_now()).await.unwrap();
        assert_eq!(slots.work.available_permits(), 0);
        drop(one);
        assert_eq!(slots.work.available_permits(), 1);
    }

    #[test]
    fn bodies_are_bounded_in_number_and_in_bytes() {
        let slots = slots();
        let slot = slots.slot();
        let (mut large, mut small) = (slot.expect_body().unwrap(), slot.expect_body().unwrap());
        assert!(slot.expect_body().is_err());
        large.grow(UNCOUNTED_BYTES + 1).unwrap();
        large.grow(UNCOUNTED_BYTES + 10 * 1024).unwrap();
        assert!(large.grow(UNCOUNTED_BYTES + 10 * 1024 + 1).is_err());
        small.grow(UNCOUNTED_BYTES).unwrap();
        assert!(small.grow(UNCOUNTED_BYTES + 1).is_err());
        drop(large);
        small.grow(UNCOUNTED_BYTES + 1).unwrap();
    }
}
