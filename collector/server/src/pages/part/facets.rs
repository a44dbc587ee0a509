use askama::Template;

/// One property by which a list can be narrowed, with how many rows each value has.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/facet.html")]
pub struct Facet {
    /// The property, in sentence case.
    pub name: String,
    /// Its values, most frequent first.
    pub choices: Vec<Choice>,
}

/// One value of a [`Facet`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value as people read it.
    pub label: String,
    /// Rows that have it, under the other filters in force.
    pub count: u64,
    /// Address of the list narrowed to it, or, if it is chosen already, widened again.
    pub href: String,
    /// Whether the list is narrowed to it now.
    pub chosen: bool,
}
