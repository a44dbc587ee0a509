//! Walks a stack through every way it can go, by the rules of libpam's dispatcher, so that a judgement does not hang on
//! the shape that one distribution gives its files.

use std::collections::HashSet;

use super::stack::{Action, Code, Line, Role};

/// Most states looked at; far above what real stacks have.
const MAX_STATES: usize = 200_000;

/// What happened on a way through a stack, as bits that the caller names.
pub(super) type Marks = u8;

/// One end of a way through a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct End {
    /// The stack as a whole succeeds.
    pub(super) success: bool,
    /// What happened before.
    pub(super) marks: Marks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Impression {
    Undefined,
    Positive,
    Negative,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    at: usize,
    level_before: usize,
    impression: Impression,
    success: bool,
    /// Impression and status when each level was entered.
    entered: Vec<(Impression, bool)>,
    marks: Marks,
}

/// Every end that the stack can come to. `returns` says what a module may return and what then has happened, given what
/// happened before. `None` if there are too many ways to follow them all.
pub(super) fn ends<I>(
    lines: &[Line],
    returns: impl Fn(usize, &Line, Marks) -> I,
) -> Option<HashSet<End>>
where
    I: IntoIterator<Item = (Code, Marks)>,
{
    let mut ends = HashSet::new();
    let mut seen = HashSet::new();
    let mut open = vec![State {
        at: 0,
        level_before: 0,
        impression: Impression::Undefined,
        success: false,
        entered: vec![(Impression::Undefined, false)],
        marks: 0,
    }];
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        if seen.len() > MAX_STATES {
            return None;
        }
        let Some(line) = lines.get(state.at) else {
            ends.insert(End {
                success: state.success && state.impression == Impression::Positive,
                marks: state.marks,
            });
            continue;
        };
        let state = state.enter(line.level);
        match line.role {
            Role::Substack => open.push(State {
                at: state.at + 1,
                level_before: line.level,
                ..state
            }),
            Role::Broken => open.push(state.after(lines, line, Code::PERM_DENIED)),
            Role::Module => {
                for (code, marks) in returns(state.at, line, state.marks) {
                    let mut next = state.after(lines, line, code);
                    next.marks = marks;
                    open.push(next);
                }
            }
        }
    }
    Some(ends)
}

impl State {
    fn enter(mut self, level: usize) -> State {
        if self.level_before < level {
            self.entered.truncate(level);
            while self.entered.len() <= level {
                self.entered.push((self.impression, self.success));
            }
        }
        self
    }

    /// The state after `line` returned `code`.
    fn after(&self, lines: &[Line], line: &Line, code: Code) -> State {
        let mut next = self.clone();
        next.level_before = line.level;
        let mut at = self.at;
        match line.action(code) {
            Action::Ignore => {}
            Action::Reset => {
                if let Some((impression, success)) = self.entered.get(line.level) {
                    next.impression = *impression;
                    next.success = *success;
                }
            }
            action @ (Action::Ok | Action::Done) => {
                let agrees = self.impression == Impression::Positive && self.success;
                if self.impression == Impression::Undefined || agrees {
                    next.impression = Impression::Positive;
                    next.success = code == Code::SUCCESS;
                }
                if next.impression == Impression::Positive && action == Action::Done {
                    at = end_of_level(lines, at, line.level);
                }
            }
            action @ (Action::Bad | Action::Die) => {
                if self.impression != Impression::Negative {
                    next.impression = Impression::Negative;
                    next.success = false;
                }
                if action == Action::Die {
                    at = end_of_level(lines, at, line.level);
                }
            }
            Action::Jump(count) => match jump(lines, at, line.level, count) {
                Some(landed) => at = landed,
                None => {
                    at = end_of_level(lines, at, line.level);
                    next.impression = Impression::Negative;
                    next.success = false;
                }
            },
        }
        next.at = at + 1;
        next
    }
}

fn level(lines: &[Line], at: usize) -> Option<usize> {
    lines.get(at).map(|line| line.level)
}

/// The last line of the level that `at` is on.
fn end_of_level(lines: &[Line], mut at: usize, own: usize) -> usize {
    while level(lines, at + 1).is_some_and(|next| next >= own) {
        at += 1;
    }
    at
}

/// The last line that a jump skips; a substack counts as one line. `None` if it leads out of its level.
fn jump(lines: &[Line], mut at: usize, own: usize, count: usize) -> Option<usize> {
    for _ in 0..count {
        level(lines, at + 1).filter(|next| *next >= own)?;
        at += 1;
        while level(lines, at + 1).is_some_and(|next| next > own) {
            at += 1;
        }
    }
    Some(at)
}
