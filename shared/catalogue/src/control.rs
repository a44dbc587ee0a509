//! A control and its attributes.

use evidence::check::Role;
use evidence::id::{CheckId, ControlId};
use serde::{Deserialize, Serialize};

/// One control of Annex A.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its id with the edition: `27001:2022/A.8.5`.
    pub id: ControlId,
    /// Its title, as the standard has it.
    pub title: String,
    /// Its theme.
    pub theme: Theme,
    /// Attribute "control type": preventive, detective, corrective.
    pub control_type: Vec<String>,
    /// Attribute "information security properties": confidentiality, integrity, availability.
    pub properties: Vec<String>,
    /// Attribute "cybersecurity concepts": identify, protect, detect, respond, recover.
    pub concepts: Vec<String>,
    /// What host evidence can say of it.
    pub class: Class,
    /// How strongly host evidence tests it; there for partial controls only.
    pub strength: Option<Strength>,
    /// What host evidence covers; empty for manual controls only.
    pub covers: String,
    /// What remains manual and an auditor asks for, one phrase each.
    pub manual: Vec<String>,
    /// Checks that test what the control is about.
    pub primary: Vec<CheckId>,
    /// Checks that add to the picture and never turn it.
    pub supporting: Vec<CheckId>,
}

impl Control {
    /// Its number within the edition: `A.8.5`.
    #[must_use]
    pub fn number(&self) -> &str {
        self.id.number()
    }

    /// The role that the map gives a check for this control, if any.
    #[must_use]
    pub fn role_of(&self, check: &CheckId) -> Option<Role> {
        if self.primary.contains(check) {
            Some(Role::Primary)
        } else if self.supporting.contains(check) {
            Some(Role::Supporting)
        } else {
            None
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),*
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word used in formats and on pages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }
    };
}

words! {
    /// The four themes of Annex A, in the standard's order.
    Theme {
        /// Clause A.5, 37 controls.
        Organizational = "organizational",
        /// Clause A.6, 8 controls.
        People = "people",
        /// Clause A.7, 14 controls.
        Physical = "physical",
        /// Clause A.8, 34 controls.
        Technological = "technological",
    }
}

words! {
    /// What host evidence can say of a control at best.
    Class {
        /// For the hosts in scope, host evidence alone shows that the technical part operates.
        Automated = "automated",
        /// Host evidence tests part of it.
        Partial = "partial",
        /// No honest host evidence exists; documents are needed.
        Manual = "manual",
    }
}

words! {
    /// How much of a partial control host evidence tests.
    Strength {
        /// A small part.
        Weak = "weak",
        /// A good part.
        Medium = "medium",
        /// Most of it.
        Strong = "strong",
    }
}
