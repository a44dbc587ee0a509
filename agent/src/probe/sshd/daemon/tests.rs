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

#[test]
fn units_and_their_drop_ins_give_the_options_at_boot() {
    let environment = assignments("# c\nSSHD_OPTS=\"-o PasswordAuthentication=yes -4\"\n");
    let unit =
        "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";
    assert_eq!(
        exec_start(unit, &environment).unwrap(),
        ["-D", "-o", "PasswordAuthentication=yes", "-4"]
    );
    let replaced =
        format!("{unit}[Service]\nExecStart=\nExecStart=-/usr/sbin/sshd -D -f /etc/other\n");
    assert_eq!(
        exec_start(&replaced, &environment).unwrap(),
        ["-D", "-f", "/etc/other"]
    );
}

#[test]
fn the_unit_says_which_files_hold_its_environment() {
    let suse =
        "[Service]\nEnvironmentFile=-/etc/sysconfig/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";
    assert_eq!(environment_files(suse), ["/etc/sysconfig/ssh"]);
    let added = format!("{suse}[Service]\nEnvironmentFile=/opt/app/ssh\n");
    assert_eq!(
        environment_files(&added),
        ["/etc/sysconfig/ssh", "/opt/app/ssh"]
    );
    let taken_back = format!("{suse}[Service]\nEnvironmentFile=\n");
    assert!(environment_files(&taken_back).is_empty());
}
