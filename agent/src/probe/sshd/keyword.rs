//! The keywords of sshd_config(5): which exist, how repeated ones combine, which a `Match` block may set.

/// What a keyword's arguments are and how repeated lines combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `yes` or `no`; the first line counts.
    Flag,
    /// `PermitRootLogin`; the first line counts.
    Root,
    /// A number; the first line counts.
    Number,
    /// One word; the first line counts.
    Word,
    /// All words of the first line.
    Words,
    /// The words of every line.
    Append,
    /// Read by sshd but of no interest here.
    Other,
}

/// One keyword.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keyword {
    /// The name settings are kept under; aliases share it.
    pub name: &'static str,
    /// Its arguments.
    pub kind: Kind,
    /// Whether a `Match` block may set it.
    pub in_match: bool,
}

const fn all(name: &'static str, kind: Kind) -> Keyword {
    Keyword {
        name,
        kind,
        in_match: true,
    }
}

const fn global(name: &'static str, kind: Kind) -> Keyword {
    Keyword {
        name,
        kind,
        in_match: false,
    }
}

static OTHER: Keyword = all("", Kind::Other);
static OTHER_GLOBAL: Keyword = global("", Kind::Other);

static KEYWORDS: &[(&str, Keyword)] = &[
    ("usepam", global("usepam", Kind::Flag)),
    ("port", global("port", Kind::Append)),
    ("hostkey", global("hostkey", Kind::Append)),
    ("hostdsakey", global("hostkey", Kind::Append)),
    ("permitrootlogin", all("permitrootlogin", Kind::Root)),
    (
        "hostbasedauthentication",
        all("hostbasedauthentication", Kind::Flag),
    ),
    ("hostkeyalgorithms", global("hostkeyalgorithms", Kind::Word)),
    (
        "pubkeyauthentication",
        all("pubkeyauthentication", Kind::Flag),
    ),
    (
        "dsaauthentication",
        global("pubkeyauthentication", Kind::Flag),
    ),
    (
        "pubkeyacceptedalgorithms",
        all("pubkeyacceptedalgorithms", Kind::Word),
    ),
    (
        "pubkeyacceptedkeytypes",
        all("pubkeyacceptedalgorithms", Kind::Word),
    ),
    ("pubkeyauthoptions", all("pubkeyauthoptions", Kind::Words)),
    (
        "gssapiauthentication",
        all("gssapiauthentication", Kind::Flag),
    ),
    (
        "passwordauthentication",
        all("passwordauthentication", Kind::Flag),
    ),
    (
        "kbdinteractiveauthentication",
        all("kbdinteractiveauthentication", Kind::Flag),
    ),
    (
        "challengeresponseauthentication",
        all("challengeresponseauthentication", Kind::Flag),
    ),
    (
        "skeyauthentication",
        all("challengeresponseauthentication", Kind::Flag),
    ),
    ("strictmodes", global("strictmodes", Kind::Flag)),
    (
        "permitemptypasswords",
        all("permitemptypasswords", Kind::Flag),
    ),
    ("allowusers", all("allowusers", Kind::Append)),
    ("denyusers", all("denyusers", Kind::Append)),
    ("allowgroups", all("allowgroups", Kind::Append)),
    ("denygroups", all("denygroups", Kind::Append)),
    ("ciphers", global("ciphers", Kind::Word)),
    ("macs", global("macs", Kind::Word)),
    ("kexalgorithms", global("kexalgorithms", Kind::Word)),
    (
        "persourcepenalties",
        global("persourcepenalties", Kind::Append),
    ),
    ("maxauthtries", all("maxauthtries", Kind::Number)),
    ("usedns", global("usedns", Kind::Flag)),
    ("authorizedkeysfile", all("authorizedkeysfile", Kind::Words)),
    ("trustedusercakeys", all("trustedusercakeys", Kind::Word)),
    (
        "authorizedprincipalsfile",
        all("authorizedprincipalsfile", Kind::Word),
    ),
    (
        "authorizedkeyscommand",
        all("authorizedkeyscommand", Kind::Words),
    ),
    (
        "authenticationmethods",
        all("authenticationmethods", Kind::Words),
    ),
    ("requiredrsasize", all("requiredrsasize", Kind::Number)),
    ("refuseconnection", all("refuseconnection", Kind::Flag)),
];

/// Keywords that exist in some version, may stand in a `Match` block and tell nothing here.
const IN_MATCH: &[&str] = &[
    "acceptenv",
    "allowagentforwarding",
    "allowstreamlocalforwarding",
    "allowtcpforwarding",
    "authorizedkeyscommanduser",
    "authorizedkeysfile2",
    "authorizedprincipalscommand",
    "authorizedprincipalscommanduser",
    "banner",
    "casignaturealgorithms",
    "channeltimeout",
    "chrootdirectory",
    "clientalivecountmax",
    "clientaliveinterval",
    "disableforwarding",
    "exposeauthinfo",
    "forcecommand",
    "gatewayports",
    "hostbasedacceptedalgorithms",
    "hostbasedacceptedkeytypes",
    "hostbasedusesnamefrompacketonly",
    "ignorerhosts",
    "ipqos",
    "kerberosauthentication",
    "loglevel",
    "logverbose",
    "maxsessions",
    "pamservicename",
    "permitlisten",
    "permitopen",
    "permittty",
    "permittunnel",
    "permituserrc",
    "rdomain",
    "rekeylimit",
    "revokedkeys",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "setenv",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "unusedconnectiontimeout",
    "x11displayoffset",
    "x11forwarding",
    "x11uselocalhost",
];

/// Keywords that exist in some version or distribution, stand outside `Match` blocks only and tell nothing here.
const GLOBAL: &[&str] = &[
    "addressfamily",
    "afstokenpassing",
    "checkmail",
    "compression",
    "debianbanner",
    "fingerprinthash",
    "gssapicleanupcredentials",
    "gssapicleanupcreds",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapistorecredentialsonrekey",
    "gssapistrictacceptorcheck",
    "gssapiusesessioncredcache",
    "gssapienablek5users",
    "hostcertificate",
    "hostkeyagent",
    "ignoreuserknownhosts",
    "keepalive",
    "kerberosgetafstoken",
    "kerberosorlocalpasswd",
    "kerberostgtpassing",
    "kerberosticketcleanup",
    "kerberosuniqueccache",
    "kerberosusekuserok",
    "keyregenerationinterval",
    "listenaddress",
    "logingracetime",
    "maxstartups",
    "modulifile",
    "pamauthenticationviakbdint",
    "permituserenvironment",
    "persourcemaxstartups",
    "persourcenetblocksize",
    "persourcepenaltyexemptlist",
    "pidfile",
    "printlastlog",
    "printmotd",
    "protocol",
    "reversemappingcheck",
    "rhostsauthentication",
    "securitykeyprovider",
    "serverkeybits",
    "sshdauthpath",
    "sshdsessionpath",
    "syslogfacility",
    "tcpkeepalive",
    "uselogin",
    "useprivilegeseparation",
    "verifyreversemapping",
    "versionaddendum",
    "xauthlocation",
    "x11useforwarding",
];

/// The keyword of that name in lower case; `None` if no version of sshd has it, and sshd then refuses to start.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    if let Some((_, keyword)) = KEYWORDS.iter().find(|(known, _)| *known == name) {
        return Some(keyword);
    }
    // Subsystem moved into Match blocks with 9.5; there an older sshd refuses what is accepted here.
    if IN_MATCH.contains(&name) || name == "subsystem" {
        Some(&OTHER)
    } else if GLOBAL.contains(&name) {
        Some(&OTHER_GLOBAL)
    } else {
        None
    }
}
