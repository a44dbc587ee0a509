//! Good records are verified; whatever is changed, left out or forged in one is named.
#![cfg(test)]

mod command;
mod export;
mod leaves;
mod logs;
mod record;
mod rounds;
mod validity;
