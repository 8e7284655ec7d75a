use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use ziggurat_core::Secret;

use super::*;

/// 2026-01-02, 03:04:05 UTC.
const NOW: u64 = 1_767_323_045;

#[derive(Debug)]
struct Stopped;

impl Ambient for Stopped {
    fn unix_time(&self) -> Duration {
        Duration::from_secs(NOW)
    }

    fn random(&self) -> u64 {
        0
    }
}

fn request(path: &str) -> Request<Body> {
    let mut request =
        Request::new(Body::from(r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() =
        format!("https://bedrock-runtime.us-east-1.amazonaws.com{path}").parse().unwrap();
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", json);
    // Nothing of ours is signed: whoever forwards the request may change it.
    request.headers_mut().insert("traceparent", http::HeaderValue::from_static("00-1-2-00"));
    request
}

fn login(token: Option<&str>) -> Login {
    let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    Login::keys("AKIDEXAMPLE", secret, token.map(Secret::new))
}

async fn signed(login: Login, path: &str) -> HeaderMap {
    let aws = Arc::new(Aws::new("us-east-1", login).ambient(Arc::new(Stopped)));
    let mut request = request(path);
    assert!(!aws.apply(&mut request).unwrap(), "it was not fetched yet");
    Arc::clone(&aws).fetch().await.unwrap();
    assert!(aws.apply(&mut request).unwrap());
    request.headers().clone()
}

#[tokio::test]
async fn published_signatures_are_made_to_the_letter() {
    let headers =
        signed(login(None), "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/converse").await;
    assert_eq!(headers["x-amz-date"], "20260102T030405Z");
    assert_eq!(
        headers["authorization"],
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=17fd710049f241ffb7b38ce7a93d145d43424e7fa33e612222cb72e479a6214b"
    );
    assert!(headers["authorization"].is_sensitive());
    let arn = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-sonnet-5/converse-stream";
    let headers = signed(login(Some("FwoGZXIvYXdzEXAMPLE")), arn).await;
    assert_eq!(headers["x-amz-security-token"], "FwoGZXIvYXdzEXAMPLE");
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(
        authorization.ends_with(
            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=2662120479bf9aeda5270047be24a824f498fd98017ba2bec97103feefa5cf4b"
        ),
        "{authorization}"
    );
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_signed_again() {
    let aws = Arc::new(Aws::new("us-east-1", login(None)).ambient(Arc::new(Stopped)));
    Arc::clone(&aws).fetch().await.unwrap();
    let mut request = request("/model/m/converse");
    aws.apply(&mut request).unwrap();
    let first = request.headers()["authorization"].clone();
    aws.apply(&mut request).unwrap();
    assert_eq!(request.headers()["authorization"], first);
    assert_eq!(request.headers().get_all("authorization").iter().count(), 1);
    let other = Arc::new(Aws::new("eu-west-1", login(None)).ambient(Arc::new(Stopped)));
    Arc::clone(&other).fetch().await.unwrap();
    other.apply(&mut request).unwrap();
    assert_ne!(request.headers()["authorization"], first, "the region is signed");
}

#[test]
fn secrets_are_not_printed() {
    let aws =
        Aws::new("us-east-1", login(Some("FwoGZXIvYXdz")).role("arn:aws:iam::1:role/r", None));
    let printed = format!("{aws:?}");
    assert!(printed.contains("AKIDEXAMPLE"), "{printed}");
    assert!(!printed.contains("wJalr") && !printed.contains("FwoGZ"), "{printed}");
}

// === roles, of a server that grants them ===

/// A server of AWS's that gives keys for roles; what was asked of it, request by request.
async fn roles(good_for: u64) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut read = Vec::new();
                let mut buffer = [0; 4096];
                let body = loop {
                    let count = socket.read(&mut buffer).await.unwrap();
                    if count == 0 {
                        return;
                    }
                    read.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&read);
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let head = head.to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.lines().next().unwrap().parse().unwrap();
                    if body.len() >= length {
                        let signed = head.contains("authorization: aws4-hmac-sha256");
                        break format!("{body}&signed={signed}");
                    }
                };
                let kind = match body.contains("AssumeRoleWithWebIdentity") {
                    true => "AssumeRoleWithWebIdentity",
                    false => "AssumeRole",
                };
                log.lock().unwrap().push(body);
                let until = SystemTime::now() + Duration::from_secs(good_for);
                let until = xml_time(until);
                let answer = format!(
                    "<{kind}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{kind}Result><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>role-token</SessionToken><Expiration>{until}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></{kind}Result></{kind}Response>"
                );
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    answer.len()
                );
                socket.write_all(head.as_bytes()).await.unwrap();
                socket.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (address, asked)
}

/// A time as XML has it.
fn xml_time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let in_era = shifted % 146_097;
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[tokio::test]
async fn a_role_is_taken_on_once_for_all_who_wait() {
    let (address, asked) = roles(3600).await;
    let login = login(None)
        .role("arn:aws:iam::1:role/r", Some("night-shift".into()))
        .external_id("x1")
        .sts_endpoint(address);
    let aws = Arc::new(Aws::new("us-east-1", login));
    let waits: Vec<_> = (0..10).map(|_| tokio::spawn(Arc::clone(&aws).fetch())).collect();
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    let mut request = request("/model/m/converse");
    assert!(aws.apply(&mut request).unwrap());
    assert_eq!(request.headers()["x-amz-security-token"], "role-token");
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(authorization.contains("Credential=ASIAROLE/"), "{authorization}");
    {
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        for said in ["Action=AssumeRole&", "night-shift", "ExternalId=x1", "signed=true"] {
            assert!(asked[0].contains(said), "{said} in {}", asked[0]);
        }
    }
    // Refused, it is taken on again.
    aws.refused();
    assert!(!aws.apply(&mut request).unwrap());
    Arc::clone(&aws).fetch().await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_role_is_taken_on_by_the_word_of_another() {
    let (address, asked) = roles(3600).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "token-of-the-file\n").unwrap();
    for (token, said) in [
        ("eyJ.token", "WebIdentityToken=eyJ.token"),
        (file.path().to_str().unwrap(), "WebIdentityToken=token-of-the-file"),
    ] {
        let login = Login::chain()
            .role("arn:aws:iam::1:role/r", None)
            .web_identity(Secret::new(token))
            .sts_endpoint(address.clone());
        let aws = Arc::new(Aws::new("us-east-1", login));
        Arc::clone(&aws).fetch().await.unwrap();
        let mut request = request("/model/m/converse");
        assert!(aws.apply(&mut request).unwrap());
        let last = asked.lock().unwrap().last().unwrap().clone();
        assert!(last.contains(said) && last.contains("signed=false"), "{last}");
    }
}

#[tokio::test]
async fn no_role_is_an_error_of_ours() {
    let login = login(None).role("arn:aws:iam::1:role/r", None).sts_endpoint("http://127.0.0.1:1");
    let error = Arc::new(Aws::new("us-east-1", login)).fetch().await.unwrap_err();
    assert_eq!(error.message(), "no credentials for AWS could be found");
    assert_eq!(error.origin(), ziggurat_core::Origin::Gateway);
    assert!(!format!("{error:?}").contains("wJalr"));
}
