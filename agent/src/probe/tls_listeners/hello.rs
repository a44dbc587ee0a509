//! First messages of a TLS handshake: RFC 5246 for TLS 1.0 to 1.2, RFC 8446 for TLS 1.3.
//!
//! Made by hand, since no modern library offers old versions: a refusal of a library that cannot ask says nothing. The
//! handshake ends with the server's answer, so that nothing in it must be secret or fresh.

/// What is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// TLS 1.0 with every suite it ever had.
    Tls1_0,
    /// TLS 1.1 with every suite it ever had.
    Tls1_1,
    /// TLS 1.2 with authenticated encryption only.
    Tls1_2,
    /// TLS 1.2 with nothing but suites without authenticated encryption.
    Tls1_2Weak,
    /// TLS 1.3; the server is left to ask for a key share, so that none must be made.
    Tls1_3,
}

impl Offer {
    pub(super) const ALL: [Offer; 5] = [
        Offer::Tls1_2,
        Offer::Tls1_3,
        Offer::Tls1_0,
        Offer::Tls1_1,
        Offer::Tls1_2Weak,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Offer::Tls1_0 => "tls1_0",
            Offer::Tls1_1 => "tls1_1",
            Offer::Tls1_2 => "tls1_2",
            Offer::Tls1_2Weak => "tls1_2_weak",
            Offer::Tls1_3 => "tls1_3",
        }
    }

    const fn version(self) -> u16 {
        match self {
            Offer::Tls1_0 => 0x0301,
            Offer::Tls1_1 => 0x0302,
            Offer::Tls1_2 | Offer::Tls1_2Weak | Offer::Tls1_3 => 0x0303,
        }
    }
}

/// Suites of TLS 1.2 with authenticated encryption: ECDHE, DHE and RSA with GCM, CCM or ChaCha20.
const AUTHENTICATED: [u16; 17] = [
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xccaa, 0x009e, 0x009f, 0x009c, 0x009d, 0xc0ac,
    0xc0ad, 0xc09e, 0xc09f, 0xc09c, 0xc09d,
];
/// Suites without authenticated encryption, and what they are called.
const WEAK: [(u16, &str); 29] = [
    (0xc009, "ECDHE-ECDSA-AES128-SHA"),
    (0xc013, "ECDHE-RSA-AES128-SHA"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA"),
    (0xc014, "ECDHE-RSA-AES256-SHA"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256"),
    (0xc027, "ECDHE-RSA-AES128-SHA256"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384"),
    (0xc028, "ECDHE-RSA-AES256-SHA384"),
    (0x0033, "DHE-RSA-AES128-SHA"),
    (0x0039, "DHE-RSA-AES256-SHA"),
    (0x0067, "DHE-RSA-AES128-SHA256"),
    (0x006b, "DHE-RSA-AES256-SHA256"),
    (0x002f, "AES128-SHA"),
    (0x0035, "AES256-SHA"),
    (0x003c, "AES128-SHA256"),
    (0x003d, "AES256-SHA256"),
    (0x0041, "CAMELLIA128-SHA"),
    (0x0084, "CAMELLIA256-SHA"),
    (0xc008, "ECDHE-ECDSA-DES-CBC3-SHA"),
    (0xc012, "ECDHE-RSA-DES-CBC3-SHA"),
    (0x0016, "EDH-RSA-DES-CBC3-SHA"),
    (0x000a, "DES-CBC3-SHA"),
    (0x0009, "DES-CBC-SHA"),
    (0xc007, "ECDHE-ECDSA-RC4-SHA"),
    (0xc011, "ECDHE-RSA-RC4-SHA"),
    (0x0005, "RC4-SHA"),
    (0x0004, "RC4-MD5"),
    (0x0002, "NULL-SHA"),
    (0x0018, "ADH-RC4-MD5"),
];
const TLS1_3: [u16; 3] = [0x1301, 0x1302, 0x1303];
const MAX_NAME: usize = 253;

/// The name of a weak suite.
pub(super) fn weak_name(suite: u16) -> Option<&'static str> {
    WEAK.iter()
        .find(|(number, _)| *number == suite)
        .map(|(_, name)| *name)
}

/// A ClientHello in its record.
pub(super) fn client_hello(offer: Offer, name: Option<&str>) -> Vec<u8> {
    let suites: Vec<u16> = match offer {
        Offer::Tls1_0 | Offer::Tls1_1 | Offer::Tls1_2Weak => {
            WEAK.iter().map(|(number, _)| *number).collect()
        }
        Offer::Tls1_2 => AUTHENTICATED.to_vec(),
        Offer::Tls1_3 => TLS1_3.to_vec(),
    };
    let mut body = offer.version().to_be_bytes().to_vec();
    body.extend_from_slice(&[0x41; 32]);
    // A session id, as TLS 1.3 wants it for the sake of boxes in between.
    let session: &[u8] = if offer == Offer::Tls1_3 {
        &[0x42; 32]
    } else {
        &[]
    };
    push_8(&mut body, session);
    let suites: Vec<u8> = suites
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    push_16(&mut body, &suites);
    push_8(&mut body, &[0]);
    push_16(&mut body, &extensions(offer, name));
    let mut message = vec![1];
    message.extend_from_slice(&length_24(body.len()));
    message.extend_from_slice(&body);
    let mut record = vec![0x16, 0x03, 0x01];
    push_16(&mut record, &message);
    record
}

fn extensions(offer: Offer, name: Option<&str>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut push = |kind: u16, content: &[u8]| {
        all.extend_from_slice(&kind.to_be_bytes());
        push_16(&mut all, content);
    };
    if let Some(name) = name.filter(|name| name.len() <= MAX_NAME) {
        let mut entry = vec![0];
        push_16(&mut entry, name.as_bytes());
        let mut list = Vec::new();
        push_16(&mut list, &entry);
        push(0, &list);
    }
    // supported_groups: X25519, P-256, P-384, P-521; ec_point_formats: uncompressed; renegotiation_info: none yet.
    push(10, &[0, 8, 0, 29, 0, 23, 0, 24, 0, 25]);
    push(11, &[1, 0]);
    push(0xff01, &[0]);
    // signature_algorithms: ECDSA, RSA-PSS, EdDSA and PKCS #1 over SHA-2, and SHA-1 for old servers.
    push(
        13,
        &[
            0, 24, 4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 8, 7, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1,
        ],
    );
    if offer == Offer::Tls1_3 {
        push(43, &[2, 3, 4]);
        push(45, &[1, 1]);
        push(51, &[0, 0]);
    }
    all
}

fn push_8(target: &mut Vec<u8>, content: &[u8]) {
    target.push(u8::try_from(content.len()).unwrap_or(u8::MAX));
    target.extend_from_slice(content);
}

fn push_16(target: &mut Vec<u8>, content: &[u8]) {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    target.extend_from_slice(&length.to_be_bytes());
    target.extend_from_slice(content);
}

fn length_24(length: usize) -> [u8; 3] {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c]
}
