//! Everything that the fuzzer ever found is read again.

#![cfg(test)]

use std::path::Path;

#[test]
fn what_was_found_is_held() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kept"));
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        match fuzz::run(&input) {
            Ok(fuzz::Done::Read(_)) => read += 1,
            Ok(fuzz::Done::Nothing) => panic!("{}: nobody reads this any more", path.display()),
            Err(violation) => panic!("{}: {violation}", path.display()),
        }
    }
    assert!(read > 0, "nothing is kept");
}
