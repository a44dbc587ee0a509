//! How much memory the bodies of requests take together, whatever strangers send.
//!
//! Room is taken as bytes arrive, not as they are announced: whoever announces much and sends nothing keeps nobody out.
//! It is held until the sequencer has answered, for as long waits the statement in its queue.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// Bytes of one unit of room.
const UNIT_BYTES: usize = 1024;

/// The room for all bodies.
#[derive(Debug, Clone)]
pub struct BodyBudget(Arc<Semaphore>);

/// Room taken by one request; free again when dropped.
#[derive(Debug)]
pub struct Room {
    budget: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl BodyBudget {
    /// Room for this many KB.
    #[must_use]
    pub fn new(kb: usize) -> BodyBudget {
        BodyBudget(Arc::new(Semaphore::new(kb)))
    }

    /// No room yet, for a request that begins.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            budget: self.0.clone(),
            taken: None,
            bytes: 0,
        }
    }
}

impl Room {
    /// Takes room for `more` bytes.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if there is none.
    pub fn take(&mut self, more: usize) -> Result<(), Refusal> {
        let bytes = self.bytes.saturating_add(more);
        let has = self
            .taken
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let lacks = bytes.div_ceil(UNIT_BYTES).saturating_sub(has);
        let lacks = u32::try_from(lacks).map_err(|_| Refusal::Busy)?;
        let got = self.budget.clone().try_acquire_many_owned(lacks);
        let got = got.map_err(|_| Refusal::Busy)?;
        match &mut self.taken {
            Some(taken) => taken.merge(got),
            None => self.taken = Some(got),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Reads a body of at most `limit` bytes, taking room for what arrives.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] beyond the limit, [`Refusal::Busy`] without room.
    pub async fn read(&mut self, body: Body, limit: usize) -> Result<Bytes, Refusal> {
        let mut chunks = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Refusal::TooLarge)?;
            if bytes.len() + chunk.len() > limit {
                return Err(Refusal::TooLarge);
            }
            self.take(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn body(chunks: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(
            chunks.into_iter().map(Ok::<_, std::io::Error>),
        ))
    }

    #[tokio::test]
    async fn what_does_not_arrive_takes_no_room() {
        let budget = BodyBudget::new(8);
        let mut silent = budget.room();
        let pending = stream::iter([Ok::<_, std::io::Error>(vec![0; 10])]).chain(stream::pending());
        let read = silent.read(Body::from_stream(pending), 1 << 20);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(50), read).await;
        assert!(waits.is_err(), "it waits for the rest");
        assert_eq!(budget.0.available_permits(), 7);
        let read = budget.room().read(body(vec![vec![0; 4096]]), 1 << 20).await;
        assert_eq!(read.unwrap().len(), 4096);
        drop(silent);
        assert_eq!(budget.0.available_permits(), 8);
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_is_refused() {
        let budget = BodyBudget::new(4);
        let mut room = budget.room();
        room.read(body(vec![vec![0; 1500], vec![0; 500]]), 4096)
            .await
            .unwrap();
        assert_eq!(budget.0.available_permits(), 2);
        assert!(matches!(room.take(4096), Err(Refusal::Busy)));
        room.take(2048).unwrap();
        assert!(matches!(budget.room().take(1), Err(Refusal::Busy)));
        drop(room);
        let long = budget.room().read(body(vec![vec![0; 100]; 3]), 250).await;
        assert!(matches!(long, Err(Refusal::TooLarge)));
    }
}
