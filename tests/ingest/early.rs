//! Answers that do not wait for the body, and addresses that are not there, as a client of HTTP/2 sees them.

use std::path::Path;

use acceptance::world::World;
use serde_json::Value;
use wire::submission::{MAX_BODY_BYTES, SUBMISSION_TYPE};

/// What curl was answered.
#[derive(Debug)]
struct Answer {
    /// Status, version of HTTP and media type.
    head: String,
    body: Value,
}

async fn curl(world: &World, arguments: &[&str], path: &str) -> Answer {
    let ca = world.service().ca.clone().unwrap();
    let output = tokio::process::Command::new("/usr/bin/curl")
        .args(["--silent", "--show-error", "--http2", "--max-time", "60"])
        .args([
            "--write-out",
            "\n%{http_code} %{http_version} %{content_type}",
        ])
        .arg("--cacert")
        .arg(ca)
        .args(arguments)
        .arg(format!("{}{path}", world.url()))
        .output()
        .await
        .unwrap_or_else(|error| panic!("curl: {error}: run tests/run"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "curl ended with {}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let (body, head) = said.rsplit_once('\n').unwrap();
    Answer {
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {said}")),
    }
}

fn file_of(folder: &Path, bytes: usize) -> String {
    let path = folder.join(bytes.to_string());
    std::fs::write(&path, vec![b'x'; bytes]).unwrap();
    format!("@{}", path.display())
}

#[tokio::test]
async fn a_refusal_before_the_body_was_read_reaches_the_sender() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let submission = format!("content-type: {SUBMISSION_TYPE}");
    for (bytes, media_type, path, head, code) in [
        (
            3 << 20,
            "content-type: text/plain",
            "/agent/v1/statements",
            "415 2 application/problem+json",
            "media_type",
        ),
        (
            MAX_BODY_BYTES + 1000,
            &submission,
            "/agent/v1/statements",
            "413 2 application/problem+json",
            "too_large",
        ),
        (
            3 << 20,
            "content-type: application/json",
            "/agent/v1/enrol",
            "413 2 application/problem+json",
            "too_large",
        ),
        (
            3 << 20,
            "content-type: application/json",
            "/log/checkpoint",
            "405 2 application/problem+json",
            "method",
        ),
    ] {
        let data = file_of(folder.path(), bytes);
        let arguments = ["--header", media_type, "--data-binary", &data];
        let answer = curl(&world, &arguments, path).await;
        assert_eq!(answer.head, head, "{path}: {answer:?}");
        let kind = format!("urn:assay:problem:{code}");
        assert_eq!(answer.body["type"], kind, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    let world = World::start().await;
    for (arguments, path, head, code) in [
        (&[][..], "/log/tile/0/999", "404", "not_found"),
        (&[], "/log/tile/nonsense", "404", "not_found"),
        (&[], "/log/nothing", "404", "not_found"),
        (&[], "/agent/v1/nothing", "404", "not_found"),
        (&[], "/agent/v1/enrol", "405", "method"),
        (
            &["--request", "PUT"],
            "/agent/v1/challenge",
            "405",
            "method",
        ),
        (&["--request", "DELETE"], "/log/checkpoint", "405", "method"),
    ] {
        let answer = curl(&world, arguments, path).await;
        assert_eq!(
            answer.head,
            format!("{head} 2 application/problem+json"),
            "{path}: {answer:?}"
        );
        let kind = format!("urn:assay:problem:{code}");
        assert_eq!(answer.body["type"], kind, "{path}: {answer:?}");
    }
}
