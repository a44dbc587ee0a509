//! Journeys through the whole product, on real hosts.

#![cfg(test)]

mod fleet;
mod machines;
