//! From intervals to the status of controls: pure functions, so that anyone with the same records gets the same answer.
//!
//! Inputs are the hosts with the time they were in scope, the checks with severity and cadence, and for each host and
//! check the stretches of one outcome ([`record`]). A period question integrates these stretches ([`rollup`]), never
//! counts samples. The steps, each in its module:
//! 1. host-check [`timeline`]: pass, fail, not applicable, unobserved; an error is unobserved, and so is time that no
//!    outcome covers, because an outcome holds for at most twice the cadence;
//! 2. host-control timeline ([`rollup`]): fail if any primary check fails; else unobserved if any is; else pass if any
//!    passes; else not applicable;
//! 3. the operating rate and the unobserved share, in host-time ([`figure`]);
//! 4. [`deviation`]s: stretches of failure with severity and duration;
//! 5. the verdict ([`status`]).
//!
//! [`current`] answers how a check stands now instead of over a period. Not here: reading the database, words for people.

pub mod current;
pub mod deviation;
pub mod figure;
pub mod record;
pub mod rollup;
pub mod rules;
pub mod status;
pub mod timeline;
