//! What people see: one typed view model and one template per page.
//!
//! A page is a plain struct filled by the queries; everything that must be *decided* in words
//! (the sentence at the top, a share that is never rounded to 100 % while something failed) is
//! decided here, where it can be tested, and never in a template. Nothing in this module reads a
//! database, a clock or a request.
