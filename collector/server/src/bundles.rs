//! Bundles of one's own: made of check files and approved parameters, verified before they are put in force.
//!
//! Groups of hosts can be on different bundles. A group is on the program's own checks, on these with lists that people
//! approved for it ([`derive`]), or on a bundle that people signed themselves, which the program then leaves alone.

pub mod approval;
pub mod derive;
pub mod desk;
pub mod offer;
