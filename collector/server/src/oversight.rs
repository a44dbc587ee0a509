//! Checks that the collector judges itself: whether a host reports, and whether its checks are judged.
//!
//! Facts come from the log alone ([`view`]), rules from the bundle in force for the host's group ([`assignment`]), compiled
//! once ([`judge`]). An outcome changes when something enters the log, or at a moment that follows from what is in it: a
//! host that stays silent is late at a time known beforehand. So nothing has to wake up for it. Ingest writes what time
//! alone has changed when the host's next entry comes; a question asked before that adds it to what is stored. Both use
//! [`view::View::turned`] and find the same moments, whenever they look and however often the projections are rebuilt.

pub mod assignment;
pub mod judge;
pub mod view;

pub use assignment::Assignment;
pub use judge::Overseer;
pub use view::View;
