//! What systemd says of its units: one program that answers for all probes of a look.
//!
//! `systemctl show` costs as much for seventy units as for one, so what the probes of a look will ask for is asked with the
//! first question, and each is answered as if it had been asked alone: that is how it is recorded, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{HostError, Program, ProgramOutput};

/// The program that answers for the units named on a live host.
#[must_use]
pub fn query(names: &[&str]) -> Program {
    let mut args = vec![
        "TZ=UTC",
        "/usr/bin/systemctl",
        "show",
        concat!(
            "--property=Id,LoadState,ActiveState,UnitFileState,WantedBy,RequiredBy,Result,ExecMainStatus,",
            "ExecMainStartTimestamp,ExecMainExitTimestamp,ActiveEnterTimestamp,MainPID"
        ),
    ];
    args.extend(names);
    Program::new("/usr/bin/env", &args)
}

/// Answers of one look, shared by the threads of its probes.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Look>>);

#[derive(Debug, Default)]
struct Look {
    /// Units that will be asked for and were not yet.
    expected: BTreeSet<String>,
    /// What was said of each.
    blocks: BTreeMap<String, String>,
}

impl Answers {
    fn look(&self) -> MutexGuard<'_, Look> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a look: what an earlier one was told counts no more.
    pub(super) fn begin(&self, expected: &[&str]) {
        let expected = expected.iter().map(|&name| name.to_owned()).collect();
        *self.look() = Look {
            expected,
            blocks: BTreeMap::new(),
        };
    }

    /// The answer for the units named, by `ask` unless it was given already.
    pub(super) fn answer(
        &self,
        names: &[&str],
        ask: impl Fn(&[&str]) -> Result<ProgramOutput, HostError>,
    ) -> Result<ProgramOutput, HostError> {
        let expected = {
            let mut look = self.look();
            if let Some(known) = look.known(names) {
                return Ok(known);
            }
            // Taken, not read: if systemd does not answer for so many, each probe asks for its own.
            std::mem::take(&mut look.expected)
        };
        let others = expected.iter().map(String::as_str);
        let others = others.filter(|name| !names.contains(name));
        let all: Vec<&str> = names.iter().copied().chain(others).collect();
        let output = ask(&all)?;
        let text = output.text();
        let blocks: Vec<&str> = text
            .split("\n\n")
            .filter(|block| !block.trim().is_empty())
            .collect();
        let whole = output.exit == 0 && blocks.len() == all.len();
        if !whole {
            return if all.len() == names.len() {
                Ok(output)
            } else {
                ask(names)
            };
        }
        let mut look = self.look();
        let told = all.iter().zip(blocks);
        look.blocks
            .extend(told.map(|(name, block)| ((*name).to_owned(), block.trim_end().to_owned())));
        look.known(names).ok_or_else(|| {
            HostError::Io(query(names).line(), "a unit without an answer".to_owned())
        })
    }
}

impl Look {
    /// The answer for these units, if all were told.
    fn known(&self, names: &[&str]) -> Option<ProgramOutput> {
        let blocks: Option<Vec<&str>> = names
            .iter()
            .map(|&name| self.blocks.get(name).map(String::as_str))
            .collect();
        Some(ProgramOutput {
            exit: 0,
            stdout: format!("{}\n", blocks?.join("\n\n")).into_bytes(),
            stderr: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A systemd that knows `known`, and answers nothing more once it is asked for another unit.
    fn systemd<'a>(
        asked: &'a RefCell<Vec<String>>,
        known: &'a [&'a str],
    ) -> impl Fn(&[&str]) -> Result<ProgramOutput, HostError> + 'a {
        move |names| {
            asked.borrow_mut().push(names.join(" "));
            let told = names.iter().take_while(|name| known.contains(name));
            let blocks: Vec<String> = told
                .map(|name| format!("Id={name}\nLoadState=loaded"))
                .collect();
            Ok(ProgramOutput {
                exit: i32::from(blocks.len() != names.len()),
                stdout: blocks.join("\n\n").into_bytes(),
                stderr: Vec::new(),
            })
        }
    }

    #[test]
    fn one_question_answers_for_all_that_are_expected_each_as_if_alone() {
        let asked = RefCell::new(Vec::new());
        let ask = systemd(&asked, &["a.timer", "b.service", "c.socket"]);
        let answers = Answers::default();
        answers.begin(&["c.socket", "a.timer", "b.service"]);
        for names in [&["b.service", "a.timer"][..], &["c.socket"], &["a.timer"]] {
            let alone = format!("{}\n", ask(names).unwrap().text());
            asked.borrow_mut().pop();
            assert_eq!(answers.answer(names, &ask).unwrap().text(), alone);
        }
        assert_eq!(asked.take(), ["b.service a.timer c.socket"]);
        answers.begin(&[]);
        answers.answer(&["a.timer"], &ask).unwrap();
        assert_eq!(asked.take(), ["a.timer"], "another look asks again");
    }

    #[test]
    fn a_name_that_systemd_does_not_take_spoils_no_other_answer() {
        let asked = RefCell::new(Vec::new());
        let ask = systemd(&asked, &["a.timer", "b.service"]);
        let answers = Answers::default();
        answers.begin(&["a.timer", "no unit", "b.service"]);
        assert_eq!(answers.answer(&["a.timer"], &ask).unwrap().exit, 0);
        assert_eq!(answers.answer(&["b.service"], &ask).unwrap().exit, 0);
        assert_eq!(answers.answer(&["no unit"], &ask).unwrap().exit, 1);
        let alone = ["a.timer", "b.service", "no unit"];
        assert_eq!(asked.take()[1..], alone);
    }
}
