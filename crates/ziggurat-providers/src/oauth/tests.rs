use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use ziggurat_core::Secret;

use super::*;

const PEM: &str = include_str!("test-key.pem");

fn service_account() -> Secret {
    let file = json!({
        "type": "service_account", "client_email": "me@p.iam.gserviceaccount.com",
        "private_key": PEM, "private_key_id": "k1", "token_uri": "http://tokens.test/token",
    });
    Secret::new(file.to_string())
}

/// What was asked: method, address, body.
type Asked = Arc<Mutex<Vec<(String, String, String, http::HeaderMap)>>>;

/// Answers every request like this.
fn web(status: u16, body: &'static str) -> (Web, Asked) {
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let web = Web::over(tower_service_fn(move |request: Request<Body>| {
        let kept = Arc::clone(&kept);
        async move {
            let (parts, body_sent) = request.into_parts();
            let sent = read(body_sent).await;
            kept.lock().unwrap().push((
                parts.method.to_string(),
                parts.uri.to_string(),
                sent,
                parts.headers,
            ));
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    }));
    (web, asked)
}

async fn read(body: Body) -> String {
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await
    {
        let data: Bytes = frame.unwrap().into_data().unwrap();
        whole.extend_from_slice(&data);
    }
    String::from_utf8(whole).unwrap()
}

/// A service of a function.
#[derive(Clone)]
struct ServiceFn<F>(F);

fn tower_service_fn<F>(function: F) -> ServiceFn<F> {
    ServiceFn(function)
}

impl<F, A> tower_service::Service<Request<Body>> for ServiceFn<F>
where
    F: Fn(Request<Body>) -> A,
    A: Future<Output = Result<Response<Body>, std::convert::Infallible>>,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = A;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> A {
        (self.0)(request)
    }
}

/// The credential that goes into a request.
async fn applied(tokens: &Arc<Tokens>) -> Result<HeaderValue, Error> {
    let mut request = Request::new(Body::empty());
    if !tokens.apply(&mut request)? {
        Arc::clone(tokens).fetch().await?;
        assert!(tokens.apply(&mut request)?);
    }
    Ok(request.headers()[AUTHORIZATION].clone())
}

const GRANTED: &str = r#"{"access_token":"ya29.t","expires_in":3599,"token_type":"Bearer"}"#;

#[tokio::test]
async fn a_service_account_says_who_it_is_once_for_all_who_wait() {
    let (web, asked) = web(200, GRANTED);
    let tokens = Arc::new(Tokens::new(Login::google(&service_account()).unwrap(), web));
    let (first, second) = tokio::join!(applied(&tokens), applied(&tokens));
    let first = first.unwrap();
    assert_eq!(first, "Bearer ya29.t");
    assert!(first.is_sensitive());
    assert_eq!(second.unwrap(), first);
    let asked = asked.lock().unwrap();
    let [(method, address, form, _)] = asked.as_slice() else { panic!("asked once") };
    assert_eq!((method.as_str(), address.as_str()), ("POST", "http://tokens.test/token"));
    let (grant, assertion) = form.split_once("&assertion=").unwrap();
    assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(read(header), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let claims = read(claims);
    assert_eq!(claims["iss"], "me@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], "http://tokens.test/token");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let key = jwt::private_key(PEM).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    public.verify(signed.as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn machines_and_people_and_applications_have_their_own_ways() {
    let (web_of_machine, asked) = web(200, GRANTED);
    let machine = Login::google_metadata(Some("metadata.test"));
    applied(&Arc::new(Tokens::new(machine, web_of_machine))).await.unwrap();
    let (method, address, _, headers) = asked.lock().unwrap().pop().unwrap();
    assert_eq!(method, "GET");
    assert_eq!(
        address,
        "http://metadata.test/computeMetadata/v1/instance/service-accounts/default/token"
    );
    assert_eq!(headers["metadata-flavor"], "Google");

    let file = json!({"type": "authorized_user", "client_id": "i", "client_secret": "s&",
        "refresh_token": "r/1"});
    let (web_of_person, asked) = web(200, GRANTED);
    let person = Login::google(&Secret::new(file.to_string())).unwrap();
    applied(&Arc::new(Tokens::new(person, web_of_person))).await.unwrap();
    let (_, address, form, _) = asked.lock().unwrap().pop().unwrap();
    assert_eq!(address, "https://oauth2.googleapis.com/token");
    assert_eq!(form, "grant_type=refresh_token&client_id=i&client_secret=s%26&refresh_token=r%2F1");

    // Some write the time as text.
    let (web_of_application, asked) = web(200, r#"{"access_token":"t","expires_in":"3599"}"#);
    let application = Login::entra("tenant", "client", Secret::new("shh"));
    applied(&Arc::new(Tokens::new(application, web_of_application))).await.unwrap();
    let (_, address, form, _) = asked.lock().unwrap().pop().unwrap();
    assert_eq!(address, "https://login.microsoftonline.com/tenant/oauth2/v2.0/token");
    assert_eq!(
        form,
        "grant_type=client_credentials&client_id=client&client_secret=shh\
         &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
    );
}

#[tokio::test]
async fn what_ends_or_is_refused_is_fetched_again() {
    let (short, asked) = web(200, r#"{"access_token":"t","expires_in":1}"#);
    let tokens = Arc::new(Tokens::new(Login::google_metadata(None), short));
    for _ in 0..2 {
        Arc::clone(&tokens).fetch().await.unwrap();
        assert!(!tokens.apply(&mut Request::new(Body::empty())).unwrap(), "it ends too soon");
    }
    assert_eq!(asked.lock().unwrap().len(), 2);

    let (web, asked) = web(200, GRANTED);
    let tokens = Arc::new(Tokens::new(Login::google_metadata(None), web));
    applied(&tokens).await.unwrap();
    tokens.refused();
    applied(&tokens).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refusal_of_the_endpoint_is_told_without_secrets() {
    for (status, body, said) in [
        (400, r#"{"error":"invalid_grant"}"#, "answered 400: {\"error\":\"invalid_grant\"}"),
        (200, r#"{"token":"secret"}"#, "cannot be read"),
        (200, r#"{"access_token":"a\nb"}"#, "cannot be a header's value"),
    ] {
        let (web, _) = web(status, body);
        let tokens = Arc::new(Tokens::new(Login::google(&service_account()).unwrap(), web));
        let error = applied(&tokens).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.message().contains(said), "{error}");
        assert!(!error.message().contains("secret"), "{error}");
        let printed = format!("{tokens:?} {error:?}");
        assert!(!printed.contains("PRIVATE") && !printed.contains("MII"), "{printed}");
    }
    let count = AtomicUsize::new(0);
    let broken = Web::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err("no way".into()) })
    });
    let tokens = Arc::new(Tokens::new(Login::google_metadata(None), broken));
    let error = applied(&tokens).await.unwrap_err();
    assert!(error.message().contains("could not be reached"), "{error}");
}

#[test]
fn what_is_no_credential_is_refused_with_a_reason() {
    for (file, why) in [
        ("no json".to_owned(), "no JSON file"),
        (json!({"type": "external_account"}).to_string(), "\"external_account\""),
        (json!({"type": "service_account"}).to_string(), "no `client_email`"),
        (
            json!({"type": "service_account", "client_email": "a", "private_key": "x"}).to_string(),
            "no RSA key",
        ),
        (json!({"type": "authorized_user"}).to_string(), "no `client_id`"),
    ] {
        let error = Login::google(&Secret::new(file)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn googles_clients_look_in_their_order() {
    let folder = std::env::temp_dir().join(format!("ziggurat-oauth-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("key.json");
    std::fs::write(&path, service_account().expose()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let named = Login::google_default(|name| {
        (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.clone())
    });
    assert!(format!("{:?}", named.unwrap()).starts_with("Assertion"));
    let left = folder.join("application_default_credentials.json");
    std::fs::write(left, service_account().expose()).unwrap();
    let config = folder.to_str().unwrap().to_owned();
    let left = Login::google_default(|name| (name == "CLOUDSDK_CONFIG").then(|| config.clone()));
    assert!(format!("{:?}", left.unwrap()).starts_with("Assertion"));
    let machine = Login::google_default(|_| None).unwrap();
    assert!(format!("{machine:?}").starts_with("Metadata"), "{machine:?}");
    let missing = Login::google_default(|name| {
        (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| "/nowhere/key.json".to_owned())
    });
    assert!(missing.unwrap_err().to_string().contains("/nowhere/key.json"));
    std::fs::remove_dir_all(folder).unwrap();
}
