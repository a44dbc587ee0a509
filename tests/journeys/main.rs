//! Journeys through the whole product, on real hosts.

// The attribute tells clippy that all of it is test code, where a failed `unwrap` is the way to say that something is wrong.
#[cfg(test)]
mod machines;
