//! Short options of a command line, as getopt(3) takes them from its words.

/// The options of one word (what follows its `-`), each with its argument: the rest of the word, or else the next word.
pub(super) fn of_word<'w>(
    flags: &str,
    with_argument: &str,
    words: &mut impl Iterator<Item = &'w String>,
) -> Vec<(char, String)> {
    let mut found = Vec::new();
    for (at, flag) in flags.char_indices() {
        if !with_argument.contains(flag) {
            found.push((flag, String::new()));
            continue;
        }
        let attached = flags.get(at + flag.len_utf8()..).unwrap_or_default();
        let argument = if attached.is_empty() {
            words.next().cloned().unwrap_or_default()
        } else {
            attached.to_owned()
        };
        found.push((flag, argument));
        break;
    }
    found
}
