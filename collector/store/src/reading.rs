//! What pages and API ask: one question per file, a row becomes a domain type, and nonsense in a row is
//! [`StoreError::Inconsistent`](crate::StoreError::Inconsistent).

mod facts;
mod hosts;
mod intervals;
mod log;

pub use facts::CurrentFact;
pub use hosts::RegisteredHost;
pub use intervals::{Change, Judgings, StoredInterval};
