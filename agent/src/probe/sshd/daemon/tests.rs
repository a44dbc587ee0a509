use super::*;

#[test]
fn a_process_title_gives_its_options_back() {
    let title = "sshd: /usr/sbin/sshd -D -o PasswordAuthentication yes -p 2222 [listener] 0 of 10-100 startups";
    assert_eq!(
        from_process(title).unwrap(),
        ["-D", "-o", "PasswordAuthentication yes", "-p", "2222"]
    );
    assert_eq!(
        from_process("sshd: /usr/sbin/sshd -oPermitRootLogin=yes [listener] 0").unwrap(),
        ["-oPermitRootLogin=yes"]
    );
    assert_eq!(from_process("sshd: /usr/sbin/sshd -D [lis"), None);
    assert_eq!(
        from_process("/usr/sbin/sshd\0-D\0-o\0A b\0").unwrap(),
        ["-D", "-o", "A b"]
    );
    let line = CommandLine::new(from_process(title).unwrap());
    assert_eq!(line.given().unwrap().len(), 2);
    assert_eq!(
        CommandLine::new(vec!["-Dfx".to_owned(), "-f".to_owned()]).file(),
        ""
    );
}
