//! Reading the compiled-in data and holding it against itself.

use std::collections::BTreeMap;

use evidence::id::{CheckId, ControlId, IdError};
use serde::Deserialize;

use crate::{Class, Control, Strength, Theme};

/// The data, as it stands in the file.
const CONTROLS: &str = include_str!("../data/controls.toml");

/// How many controls each theme has.
const THEMES: [(Theme, &str, usize); 4] = [
    (Theme::Organizational, "A.5.", 37),
    (Theme::People, "A.6.", 8),
    (Theme::Physical, "A.7.", 14),
    (Theme::Technological, "A.8.", 34),
];
/// How many controls each class has.
const CLASSES: [(Class, usize); 3] = [
    (Class::Automated, 5),
    (Class::Partial, 41),
    (Class::Manual, 47),
];

/// The controls of one edition, in the standard's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    controls: Vec<Control>,
    places: BTreeMap<ControlId, usize>,
}

/// The compiled-in data contradicts itself or the standard's counts.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not the TOML expected.
    #[error("the catalogue of controls cannot be read")]
    Form(#[from] toml::de::Error),
    /// A control's id is none.
    #[error("the catalogue of controls holds a wrong id")]
    Id(#[from] IdError),
    /// Something does not add up.
    #[error("the catalogue of controls contradicts itself: {0}")]
    Contradiction(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    edition: String,
    control: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    title: String,
    theme: Theme,
    control_type: Vec<String>,
    properties: Vec<String>,
    concepts: Vec<String>,
    class: Class,
    strength: Option<Strength>,
    #[serde(default)]
    covers: String,
    manual: Vec<String>,
    #[serde(default)]
    primary: Vec<CheckId>,
    #[serde(default)]
    supporting: Vec<CheckId>,
}

impl Catalogue {
    /// The controls that come with the program.
    ///
    /// # Errors
    /// [`CatalogueError`] if the data contradicts itself; never in a released program, since a test loads it.
    pub fn load() -> Result<Catalogue, CatalogueError> {
        Catalogue::parse(CONTROLS)
    }

    fn parse(text: &str) -> Result<Catalogue, CatalogueError> {
        let file: File = toml::from_str(text)?;
        let controls = file
            .control
            .into_iter()
            .map(|row| row.into_control(&file.edition))
            .collect::<Result<Vec<Control>, CatalogueError>>()?;
        check_counts(&controls)?;
        controls.iter().try_for_each(check_control)?;
        let places: BTreeMap<ControlId, usize> = controls
            .iter()
            .enumerate()
            .map(|(place, control)| (control.id.clone(), place))
            .collect();
        if places.len() != controls.len() {
            return Err(contradiction("a control stands twice"));
        }
        Ok(Catalogue { controls, places })
    }

    /// All controls, in the standard's order.
    #[must_use]
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// The control of that id.
    #[must_use]
    pub fn control(&self, id: &ControlId) -> Option<&Control> {
        self.places.get(id).map(|place| &self.controls[*place])
    }

    /// The control of that number, `A.8.5`, in this edition.
    #[must_use]
    pub fn by_number(&self, number: &str) -> Option<&Control> {
        self.controls
            .iter()
            .find(|control| control.number() == number)
    }

    /// The controls of one theme, in order.
    pub fn of_theme(&self, theme: Theme) -> impl Iterator<Item = &Control> {
        self.controls
            .iter()
            .filter(move |control| control.theme == theme)
    }
}

impl Row {
    fn into_control(self, edition: &str) -> Result<Control, CatalogueError> {
        Ok(Control {
            id: format!("{edition}/{}", self.id).parse()?,
            title: self.title,
            theme: self.theme,
            control_type: self.control_type,
            properties: self.properties,
            concepts: self.concepts,
            class: self.class,
            strength: self.strength,
            covers: self.covers,
            manual: self.manual,
            primary: self.primary,
            supporting: self.supporting,
        })
    }
}

fn contradiction(problem: impl Into<String>) -> CatalogueError {
    CatalogueError::Contradiction(problem.into())
}

fn check_counts(controls: &[Control]) -> Result<(), CatalogueError> {
    let mut expected = Vec::new();
    for (theme, prefix, count) in THEMES {
        let found = controls.iter().filter(|c| c.theme == theme).count();
        if found != count {
            return Err(contradiction(format!(
                "{found} {} controls, not {count}",
                theme.as_str()
            )));
        }
        expected.extend((1..=count).map(|number| format!("{prefix}{number}")));
    }
    for (class, count) in CLASSES {
        let found = controls.iter().filter(|c| c.class == class).count();
        if found != count {
            return Err(contradiction(format!(
                "{found} {} controls, not {count}",
                class.as_str()
            )));
        }
    }
    for (control, expected) in controls.iter().zip(&expected) {
        if control.number() != expected {
            return Err(contradiction(format!(
                "{} stands where {expected} belongs",
                control.number()
            )));
        }
    }
    Ok(())
}

fn check_control(control: &Control) -> Result<(), CatalogueError> {
    let wrong = |problem: &str| Err(contradiction(format!("{} {problem}", control.number())));
    let prefix = THEMES.iter().find(|(theme, _, _)| *theme == control.theme);
    if !prefix.is_some_and(|(_, prefix, _)| control.number().starts_with(prefix)) {
        return wrong("has a number of another theme");
    }
    if control.title.is_empty() || control.manual.is_empty() {
        return wrong("lacks its title or what remains manual");
    }
    if control.strength.is_some() != (control.class == Class::Partial) {
        return wrong("needs a strength exactly if it is partial");
    }
    let manual = control.class == Class::Manual;
    let checks = control.primary.iter().chain(&control.supporting);
    if manual != control.covers.is_empty() || manual != (checks.clone().count() == 0) {
        return wrong("needs checks and what they cover exactly if it is not manual");
    }
    let mut seen: Vec<&CheckId> = checks.collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return wrong("names a check twice");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_those_of_the_standard_and_of_the_map() {
        let catalogue = Catalogue::load().unwrap();
        assert_eq!(catalogue.controls().len(), 93);
        let themes = Theme::ALL.iter().map(|t| catalogue.of_theme(*t).count());
        assert_eq!(themes.collect::<Vec<_>>(), [37, 8, 14, 34]);
        let of = |class| {
            let controls = catalogue.controls().iter();
            controls.filter(|control| control.class == class).count()
        };
        assert_eq!(
            [Class::Automated, Class::Partial, Class::Manual].map(of),
            [5, 41, 47]
        );
        let privileged = catalogue.by_number("A.8.2").unwrap();
        assert_eq!(privileged.title, "Privileged access rights");
        assert_eq!(catalogue.control(&privileged.id), Some(privileged));
        assert_eq!(catalogue.by_number("A.9.1"), None);
    }

    #[test]
    fn data_that_contradicts_itself_is_refused() {
        for (before, after, told) in [
            ("id = \"A.8.5\"", "id = \"A.8.55\"", "A.8.55"),
            ("theme = \"people\"", "theme = \"physical\"", "people"),
            ("class = \"automated\"", "class = \"manual\"", "automated"),
            ("strength = \"weak\"\n", "", "strength"),
            ("primary = [\"session.screen_lock\"]", "", "A.7.7"),
            (
                "primary = [\"session.screen_lock\"]",
                "primary = [\"session.screen_lock\", \"session.screen_lock\"]",
                "twice",
            ),
        ] {
            let text = CONTROLS.replacen(before, after, 1);
            assert_ne!(text, CONTROLS, "{before}");
            let error = Catalogue::parse(&text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
