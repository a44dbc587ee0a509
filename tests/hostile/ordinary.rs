//! The agent as an ordinary user: an answer to every check, and never a better one than root gets.

use acceptance::fleet::bring;
use acceptance::machine::{Image, Machine, Network};

use super::report::{Judgements, check};

const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
];
/// How an ordinary user's error says that it is one for want of permission: altogether, or for a part of what is read.
const NOT_ALL_READ: [&str; 2] = ["error permission_denied", "error coverage_partial"];

/// What only root can see is wrong: each of these is a `fail` for root.
const SPOILED: &str = r#"set -e
useradd -m -s /bin/bash eve
useradd -m -s /bin/bash anna
passwd -q -d anna
chmod 700 /home/anna /home/eve
echo 'eve ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/eve
chmod 440 /etc/sudoers.d/eve
mkdir -p -m 700 /root/.ssh /etc/ssh/sshd_config.d
printf 'PermitRootLogin yes\nPermitEmptyPasswords yes\n' >/etc/ssh/sshd_config.d/10-open.conf
chmod 600 /etc/ssh/sshd_config.d/10-open.conf
ssh-keygen -q -t rsa -b 1024 -N '' -f /root/weak 2>/dev/null || ssh-keygen -q -t rsa -N '' -f /root/weak
cp /root/weak.pub /root/.ssh/authorized_keys
cp /root/weak /etc/ssl/private/web.key
chgrp -R eve /etc/ssl/private
chmod 750 /etc/ssl/private
chmod 640 /etc/ssl/private/web.key
install -m 4755 /bin/true /root/hidden-privileges
mkdir -m 777 /root/open
truncate -s 1M /root/unowned
chown 4242:4242 /root/unowned
chmod 666 /var/log/auth.log /var/log/wtmp 2>/dev/null || chmod 666 /var/log/wtmp
"#;

fn differences(root: &Judgements, nobody: &Judgements) -> Vec<String> {
    assert!(root.len() >= 100, "{} checks", root.len());
    assert!(root.keys().eq(nobody.keys()));
    let mut wrong = Vec::new();
    for (id, ours) in nobody {
        let theirs = &root[id];
        let denied = NOT_ALL_READ.contains(&ours.words().as_str());
        if ours.words() != theirs.words() && !denied {
            wrong.push(format!("{id}: root {theirs}, nobody {ours}"));
        }
    }
    wrong
}

#[test]
fn an_ordinary_user_gets_every_answer_that_root_gets_or_is_told_what_may_not_be_read() {
    let network = Network::create().unwrap();
    let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
    bring(&host);
    let mut wrong = differences(&check(&host, &[]), &check(&host, &AS_NOBODY));
    host.run(&["bash", "-c", SPOILED]).unwrap();
    let root = check(&host, &[]);
    for id in [
        "account.password.empty",
        "cert.key.permissions",
        "file.unowned",
        "sshd.root",
        "sudo.nopasswd",
    ] {
        assert_eq!(root[id].outcome, "fail", "{id}: {}", root[id]);
    }
    let nobody = check(&host, &AS_NOBODY);
    wrong.extend(differences(&root, &nobody));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let denied = nobody.values().filter(|one| one.words() == NOT_ALL_READ[0]);
    assert!(denied.count() >= 20);
}
