//! The collector: admits rounds, keeps the ledger, judges controls and answers people and programs.

pub mod agent_api;
pub mod api;
pub mod app;
pub mod auth;
pub mod bundles;
pub mod command;
pub mod config;
pub mod connections;
pub mod export;
pub mod folder;
pub mod ingest;
pub mod log_api;
pub mod oversight;
pub mod pages;
pub mod queries;
pub mod service;
pub mod tls;
pub mod web;
