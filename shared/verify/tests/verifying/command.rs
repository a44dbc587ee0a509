//! The program itself: exit status, what it prints, what it refuses to read, and a log over HTTPS.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use wire::leaf::Kind;

use crate::export::{AGENT, Draft};
use crate::logs::log_of;
use crate::record::{self, Leaves, log_key};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assay-verify"))
        .args(arguments)
        .output()
        .unwrap()
}

fn round(folder: &Path, more: &[&str]) -> Output {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let key = log_key().vkey().to_string();
    let (file, proof, agent) = (
        at("round.dsse.json"),
        at("round.tlog-proof"),
        at("agent.pem"),
    );
    let mut arguments = vec![
        "round",
        &file,
        "--proof",
        &proof,
        "--key",
        &key,
        "--agent-key",
        &agent,
    ];
    arguments.extend(more);
    program(&arguments)
}

fn whole_round(folder: &Path) -> Output {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (bundle, disclosures, policy) =
        (at("bundle.dsse.json"), at("disclosures"), at("policy.pem"));
    round(
        folder,
        &[
            "--bundle",
            &bundle,
            "--disclosures",
            &disclosures,
            "--policy-key",
            &policy,
        ],
    )
}

#[track_caller]
fn ends(output: &Output, status: i32, words: &str) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(status), "{printed}");
    assert!(printed.contains(words), "wanted {words}, got\n{printed}");
}

#[test]
fn a_round_on_disk_is_verified_and_a_changed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let export = Draft::honest().export();
    export.write(folder.path());
    ends(&whole_round(folder.path()), 0, "\nverified\n");
    ends(&round(folder.path(), &[]), 0, "no check was judged again");
    let mut changed = export.envelope.clone();
    changed[40] ^= 1;
    fs::write(folder.path().join("round.dsse.json"), changed).unwrap();
    ends(&whole_round(folder.path()), 1, "NOT VERIFIED");
    fs::remove_file(folder.path().join("round.dsse.json")).unwrap();
    ends(
        &whole_round(folder.path()),
        1,
        "round.dsse.json cannot be read",
    );
}

#[test]
fn a_round_is_held_against_a_log_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let before = Leaves::begun(AGENT);
    let end = |leaves: &mut Leaves| leaves.about(Kind::Revoke, AGENT, 1);
    let (export, entries) = Draft::honest().logged(before, end);
    export.write(folder.path());
    let log = folder.path().join("log");
    record::write(&log, &record::files(&entries, &log_key()));
    let held = |place: &str| round(folder.path(), &["--log", place]);
    let log = log.to_str().unwrap();
    ends(
        &held(log),
        0,
        "entry 4 (revoke) changed the agent's key after",
    );
    ends(
        &held("/no/such/log"),
        1,
        "log                     checkpoint: /no/such/log/checkpoint cannot be read",
    );
    ends(&held("http://log.example"), 1, "begins with https://");
    let no_log = round(folder.path(), &["--ca", "ca.pem"]);
    assert_eq!(no_log.status.code(), Some(64));

    let mut before = Leaves::begun(AGENT);
    before.about(Kind::Revoke, AGENT, 1);
    let (export, entries) = Draft::honest().logged(before, |_| {});
    export.write(folder.path());
    record::write(log.as_ref(), &record::files(&entries, &log_key()));
    ends(&round(folder.path(), &[]), 0, "--log does");
    ends(&held(log), 1, "FAILED  key in force");
}

#[test]
fn what_no_such_file_has_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "round.dsse.json",
        "round.tlog-proof",
        "agent.pem",
        "bundle.dsse.json",
        "policy.pem",
    ] {
        Draft::honest().export().write(folder.path());
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_len(1 << 40).unwrap();
        ends(&whole_round(folder.path()), 1, "which no such file has");
    }
}

#[test]
fn a_disclosures_folder_holds_plain_files_only_and_not_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let export = Draft::honest().export();
    export.write(folder.path());
    let disclosures = folder.path().join("disclosures");
    let name = export.disclosures.keys().next().unwrap();
    let target = folder.path().join("elsewhere");
    fs::rename(disclosures.join(name), &target).unwrap();
    std::os::unix::fs::symlink(&target, disclosures.join(name)).unwrap();
    ends(&whole_round(folder.path()), 1, "links are not followed");
    fs::remove_file(disclosures.join(name)).unwrap();
    fs::create_dir(disclosures.join(name)).unwrap();
    ends(&whole_round(folder.path()), 1, "no regular file");
    fs::remove_dir(disclosures.join(name)).unwrap();
    fs::rename(&target, disclosures.join(name)).unwrap();
    ends(&whole_round(folder.path()), 0, "verified");
    for number in 0..5000 {
        fs::write(disclosures.join(number.to_string()), b"x").unwrap();
    }
    ends(&whole_round(folder.path()), 1, "more than 4096 files");
    fs::remove_dir_all(&disclosures).unwrap();
    ends(&whole_round(folder.path()), 1, "cannot be read");
}

#[test]
fn wrong_usage_is_neither_verified_nor_refuted() {
    let key = log_key().vkey().to_string();
    for arguments in [
        &["round"][..],
        &["log", "x"],
        &["log", "x", "--key", &key, "--more"],
        &[
            "round",
            "f",
            "--proof",
            "p",
            "--key",
            &key,
            "--agent-key",
            "a",
            "--bundle",
            "b",
        ],
        &[],
    ] {
        assert_eq!(program(arguments).status.code(), Some(64), "{arguments:?}");
    }
    assert_eq!(program(&["--help"]).status.code(), Some(0));
}

#[test]
fn the_key_may_stand_in_a_file_and_a_private_one_is_not_shown() {
    let (folder, _) = log_of(4);
    let place = folder.path().to_str().unwrap();
    let file = folder.path().join("log.vkey");
    fs::write(&file, format!("{}\n", log_key().vkey())).unwrap();
    ends(
        &program(&["log", place, "--key", file.to_str().unwrap()]),
        0,
        "verified",
    );
    fs::write(&file, "no key\n").unwrap();
    ends(
        &program(&["log", place, "--key", file.to_str().unwrap()]),
        1,
        "neither a verifier key",
    );
    let secret = log_key().to_secret_text();
    let output = program(&["log", place, "--key", &secret]);
    ends(&output, 1, "private key");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(secret.as_str()));
}

#[test]
fn the_result_is_json_when_asked() {
    let (folder, _) = log_of(4);
    let key = log_key().vkey().to_string();
    let output = program(&[
        "log",
        folder.path().to_str().unwrap(),
        "--key",
        &key,
        "--format",
        "json",
    ]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["verified"], true);
    assert_eq!(value["steps"][0]["step"], "checkpoint");
    assert_eq!(value["steps"][0]["verdict"], "ok");
}

/// A server of these files on loopback, with a certificate by a CA of its own, and the CA's PEM.
fn serve(files: BTreeMap<String, Vec<u8>>) -> (SocketAddr, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let own = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let chain = params.signed_by(&own, &ca).unwrap().pem();
    let handle = Handle::new();
    let listening = handle.clone();
    std::thread::spawn(move || {
        // Another provider may be there already, from another test of this process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let tls = RustlsConfig::from_pem(chain.into_bytes(), own.serialize_pem().into_bytes());
            let app = Router::new().fallback(file).with_state(files);
            axum_server::bind_rustls(
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                tls.await.unwrap(),
            )
            .handle(listening)
            .serve(app.into_make_service())
            .await
            .unwrap();
        });
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address = runtime.block_on(handle.listening()).unwrap();
    (address, ca.pem())
}

async fn file(State(files): State<BTreeMap<String, Vec<u8>>>, uri: Uri) -> (StatusCode, Vec<u8>) {
    match uri
        .path()
        .strip_prefix("/log/")
        .and_then(|path| files.get(path))
    {
        Some(bytes) => (StatusCode::OK, bytes.clone()),
        None => (StatusCode::NOT_FOUND, Vec::new()),
    }
}

#[test]
fn a_log_is_read_over_https_from_a_server_that_the_given_ca_vouches_for() {
    let (folder, mut files) = log_of(700);
    let key = log_key().vkey().to_string();
    let ca = folder.path().join("ca.pem");
    let verify = |address: SocketAddr| {
        let ca = ca.to_str().unwrap();
        program(&[
            "log",
            &format!("https://{address}/log"),
            "--key",
            &key,
            "--ca",
            ca,
        ])
    };
    let (address, pem) = serve(files.clone());
    fs::write(&ca, &pem).unwrap();
    ends(&verify(address), 0, "\nverified\n");
    ends(
        &program(&["log", &format!("https://{address}/log"), "--key", &key]),
        1,
        "cannot be fetched",
    );
    ends(
        &program(&["log", &format!("http://{address}/log"), "--key", &key]),
        1,
        "begins with https://",
    );

    files.remove("tile/entries/001").unwrap();
    let (broken, pem_of_broken) = serve(files.clone());
    ends(&verify(broken), 1, "checkpoint cannot be fetched");
    fs::write(&ca, &pem_of_broken).unwrap();
    ends(&verify(broken), 1, "404 Not Found for tile/entries/001");

    files.insert("tile/entries/001".to_owned(), vec![0; 3_000_000]);
    let (long, pem) = serve(files);
    fs::write(&ca, &pem).unwrap();
    ends(&verify(long), 1, "which no such file has");
}
