//! The collector: admits rounds, keeps the ledger, judges controls and answers people and programs.

pub mod ingest;
pub mod pages;
