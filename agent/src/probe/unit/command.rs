//! What a service runs, and the settings of start scripts, for probes that ask what the next boot does.

use crate::probe::sshd::{self, Environment};
use crate::probe::{Observation, Unobservable};

/// The program of a service and its arguments; `None` without `ExecStart=`.
///
/// # Errors
/// [`Unobservable`] if a file of its environment is there and cannot be read, or is named by a pattern.
pub(in crate::probe) fn of_service(
    observation: &mut Observation<'_>,
    name: &str,
    text: &str,
) -> Result<Option<Vec<String>>, Unobservable> {
    sshd::command_line(observation, name, text)
}

/// The assignments of a file that a start script reads, such as those of /etc/default and /etc/conf.d.
pub(in crate::probe) fn assignments(text: &str) -> Environment {
    sshd::assignments(text, true)
}

/// The value assigned last.
pub(in crate::probe) fn value<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    sshd::value(environment, name)
}
