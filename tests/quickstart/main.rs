//! The first command of the README, run as a newcomer runs it, and everything else that the README tells people to type.

#![cfg(test)]

mod readme;
mod start;
