//! Assertions: a service account says who it is, signed by its key (RFC 7523).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Serialize;
use ziggurat_core::Error;

use super::failed;

/// How long an assertion is good for.
const GOOD_FOR: Duration = Duration::from_secs(3600);

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// Who asserts what to whom.
pub(super) struct Assertion<'a> {
    pub(super) issuer: &'a str,
    pub(super) key_id: Option<&'a str>,
    pub(super) scope: &'a str,
    pub(super) audience: &'a str,
}

impl Assertion<'_> {
    /// The assertion as a signed token.
    pub(super) fn sign(&self, key: &RsaKeyPair, now: SystemTime) -> Result<String, Error> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = Header { alg: "RS256", typ: "JWT", kid: self.key_id };
        let claims = Claims {
            iss: self.issuer,
            scope: self.scope,
            aud: self.audience,
            iat: now.as_secs(),
            exp: (now + GOOD_FOR).as_secs(),
        };
        let written = |value: Result<Vec<u8>, serde_json::Error>| {
            let json = value.map_err(|_| failed("the assertion cannot be written"))?;
            Ok::<_, Error>(URL_SAFE_NO_PAD.encode(json))
        };
        let header = written(serde_json::to_vec(&header))?;
        let claims = written(serde_json::to_vec(&claims))?;
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| failed("the service account's key does not sign"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Reads a private key in PEM, PKCS #8 or PKCS #1.
pub(super) fn private_key(pem: &str) -> Option<RsaKeyPair> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(body).ok()?;
    match label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
        _ => None,
    }
}
