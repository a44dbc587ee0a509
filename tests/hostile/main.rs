//! What an ordinary user of a real host can do to root's agent, and what the agent can do as an ordinary user.

#![cfg(test)]

mod ordinary;
mod planted;
mod report;
mod stuck;
