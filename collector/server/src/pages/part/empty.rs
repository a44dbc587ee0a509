use askama::Template;

/// What stands where a list would be: why there is nothing, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/empty.html")]
pub struct Empty {
    /// Why there is nothing, as a sentence.
    pub why: String,
    /// The next step, as a sentence; empty when there is none to take.
    pub next: String,
    /// The command of the next step, if it is one.
    pub command: Option<String>,
}

impl Empty {
    /// Nothing is there, and that is how it should be.
    pub fn calm(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            next: String::new(),
            command: None,
        }
    }
}
