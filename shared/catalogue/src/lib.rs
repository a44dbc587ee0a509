//! Annex A of ISO/IEC 27001:2022 as data: the 93 controls, and what host evidence can say of each.
//!
//! Pure: the data is compiled in and cross-checked by [`Catalogue::load`]. What a check of a bundle claims (primary or
//! supporting, and for which control) is part of the bundle; the same map stands here too, so that a page can name the
//! checks that a control could have and the bundle in force does not hold. A test holds the baseline bundle against it.
//!
//! Not here: the text of the standard, which is nobody's to copy; what a control's status is (`assess`).

mod control;
mod load;

pub use control::{Class, Control, Strength, Theme};
pub use load::{Catalogue, CatalogueError};
