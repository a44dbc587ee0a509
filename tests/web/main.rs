//! What people and programs see of a collector: who gets in, who may do what, and what the answers hold.

#![cfg(test)]

mod approvals;
mod authority;
mod reading;
mod sign_in;
