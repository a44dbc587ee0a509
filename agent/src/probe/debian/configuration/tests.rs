//! apt itself judges our reading: `apt-config dump` over the same files.

use std::path::Path;
use std::process::Command;

use evidence::time::Timestamp;

use super::*;
use crate::host::FileSystemHost;
use crate::probe::VolatileMemory;

const DUMP: &str = "/usr/bin/apt-config";

/// Reads the configuration of an unpacked root.
fn ours(root: &Path) -> Result<Configuration, Unobservable> {
    let host = FileSystemHost::offline(root).unwrap();
    let mut memory = VolatileMemory::default();
    let now = Timestamp::from_unix_ms(0);
    let mut observation = Observation::new(&host, &mut memory, "test", now);
    read(&mut observation)
}

/// What apt makes of the same files: everything it did not have before, in order; `None` if it refuses them.
fn theirs(root: &Path) -> Option<Vec<String>> {
    assert!(
        Path::new(DUMP).exists(),
        "this test compares with {DUMP}; run it on Debian or Ubuntu"
    );
    let dump = |root: &Path| {
        // Nothing of this machine's own configuration: the first file read moves the root.
        let first = root.join("first.conf");
        std::fs::write(&first, format!("Dir \"{}\";\n", root.display())).unwrap();
        let output = Command::new(DUMP)
            .arg("dump")
            .env("APT_CONFIG", &first)
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    dump(root).map(|text| {
        text.split(";\n")
            .map(|line| format!("{line};"))
            .filter(|line| line != ";")
            .collect()
    })
}

/// A root with these files in `etc/apt`.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/apt/apt.conf.d")).unwrap();
    for (name, text) in files {
        std::fs::write(root.path().join("etc/apt").join(name), text).unwrap();
    }
    root
}

/// Lines of a dump that belong to the names that the samples use.
fn of_samples(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| {
            let lower = line.to_ascii_lowercase();
            ["apt::periodic", "unattended-upgrade", "x", "y", "::"]
                .iter()
                .any(|start| lower.starts_with(start))
        })
        .cloned()
        .collect()
}

/// What differs, in words.
fn difference(files: &[(&str, &str)]) -> Option<String> {
    let root = root(files);
    let apt = theirs(root.path()).map(|lines| of_samples(&lines));
    let found = ours(root.path()).ok().map(|tree| of_samples(&tree.dump()));
    (found != apt).then(|| format!("{files:?}\n  ours {found:?}\n  apt  {apt:?}\n"))
}

fn assert_equal(files: &[(&str, &str)]) {
    assert_eq!(difference(files), None);
}

/// What Debian ships, with `APT` first: apt's own defaults have that scope before everything else.
const REAL: &str = r#"// comment
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Origins-Pattern {
        // Codename based
        "origin=Debian,codename=${distro_codename},label=Debian";
//      "origin=Debian,archive=stable";
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";
};
Unattended-Upgrade::Package-Blacklist { "linux-"; "libc6$"; };
Unattended-Upgrade::Update-Days {"Mon";"Fri"};
"#;

#[test]
fn our_reading_is_that_of_apt() {
    let samples: &[&str] = &[
        REAL,
        "X \"1\"; x \"2\"; X::y \"3\"; X::Y \"4\";",
        "X { a \"1\"; B { c \"2\"; }; };",
        "X { \"a\"; \"b\"; }; X:: \"c\"; X { \"d\" };",
        "X {\"a\"; }; #clear X; X:: \"b\";",
        "X \"1\"; #clear x; Y \"2\"; #clear Y::z;",
        "# X \"1\";\nX \"2\"; # trailing\n//X \"3\";\nX \"a//b#c\"; // X",
        "/* X \"1\"; */ X \"2\"; /* open\n still X \"3\"; \n end */ Y \"4\";",
        "X /* a */ \"1\" /* b */;",
        "X\n\"1\"\n;\nY\n{\n\"a\"\n;\n}\n;",
        "X \"a\" \"b\";",
        "X \"a\"\n  \"b\";",
        "X a;",
        "X a b;",
        "X \"%41%zz\"; Y %41;",
        "X \"a;b{c}d\";",
        "X \"unclosed;\n\";",
        "X { \"1\"",
        "X { \"1\"; ",
        "{ \"1\"; };",
        "}; } X \"1\";",
        "X::\"quoted name\" \"1\";",
        "X::[a b] \"1\";",
        "X::::Y \"1\";",
        "X::: \"1\"; X::a:b \"2\"; :: \"3\";",
        "X { #clear Y; };",
        "#clear;",
        "#unknown X;",
        "#x-apt-configure-index \"X\";",
        "X \"1\";;;;",
        "X \"1\" }; Y \"2\";",
        "X { Y \"1\" }",
        "X { Y { Z \"1\" } } Y \"2\";",
        "\"X\" \"1\";",
        "X\t\"tab\there\";",
        "X \"trailing space \" ;  ",
        "X \"\";",
        "X;",
        "\"list item at the top\";",
        "X { name { \"1\"; \"2\"; }; name { \"3\"; }; };",
        "X \"1\"; /* never closed",
        "X \"/* not a comment */\";",
        "X \"a\" // \"b\"\n;",
        "X::Y { a::b \"1\"; };",
        "X \"1\";\r\nY \"2\";\r\n",
        "X \"[\";",
        "X [;",
        "X { a \"1\"; } Y { \"2\"; }",
        "X { \"a\" \"b\"; };",
        "#include \"/etc/apt/none\";",
    ];
    let wrong: String = samples
        .iter()
        .filter_map(|sample| difference(&[("apt.conf.d/10sample", sample)]))
        .collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn files_are_taken_in_the_order_and_by_the_names_of_apt() {
    let names = [
        "20auto",
        "20auto.conf",
        "10first",
        "99last.conf",
        "30a.bak",
        "30b.disabled",
        "30c~",
        "30d.save",
        "30e.orig",
        "30f.dpkg-old",
        ".hidden",
        "40with:colon",
        "50two.dots.conf",
        "60ending.",
        "Zcapital",
        "70with space",
        "80UPPER.CONF",
        "90under_score-minus",
    ];
    let texts: Vec<(String, String)> = names
        .iter()
        .map(|name| {
            (
                format!("apt.conf.d/{name}"),
                format!("X \"{name}\"; Y:: \"{name}\";\n"),
            )
        })
        .collect();
    let mut files: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_equal(&files);
    files.push(("apt.conf", "X \"main\"; Y:: \"main\";\n"));
    assert_equal(&files);
}

#[test]
fn pieces_put_together_at_random_read_the_same() {
    let pieces = [
        "X",
        "Y",
        "::",
        " ",
        "\"a\"",
        "\"",
        ";",
        "{",
        "}",
        "};",
        "\n",
        "#clear X;",
        "//",
        "/*",
        "*/",
        "#",
        "[",
        "]",
        "b",
        "X \"1\";",
        "Y { \"2\"; };",
        "%41",
        "\t",
    ];
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut wrong = String::new();
    for _ in 0..60 {
        let mut text = String::new();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(pieces[usize::try_from(state % pieces.len() as u64).unwrap()]);
        }
        wrong.extend(difference(&[("apt.conf.d/10random", &text)]));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn settings_are_found_whatever_their_case() {
    let root = root(&[
        ("apt.conf.d/10a", REAL),
        ("apt.conf", "apt::periodic::ENABLE \"0\";"),
    ]);
    let found = ours(root.path()).unwrap();
    assert_eq!(found.value("APT::Periodic::Enable"), Some("0"));
    assert_eq!(
        found.list("unattended-upgrade::package-blacklist"),
        ["linux-", "libc6$"]
    );
    assert!(!found.flag("APT::Periodic::Enable", true));
    let moved = super::tests::root(&[("apt.conf", "Dir::State::lists \"/srv/lists\";")]);
    assert!(ours(moved.path()).is_err());
}

#[test]
fn blocks_that_nest_without_end_are_refused() {
    use super::parser::statements;
    assert!(statements(&format!("{}{}", "a { ".repeat(100), "}; ".repeat(100))).is_ok());
    assert!(statements(&"a{".repeat(100_000)).is_err());
}
