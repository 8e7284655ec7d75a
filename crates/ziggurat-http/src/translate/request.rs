//! From a call to a provider's request.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request};

use ziggurat_core::{
    Body, Call, Chat, Dialect, Error, Loss, Losses, Operation, Payload, Prepared, RawJson, Restore,
    Str, Target, Typed,
};
use ziggurat_dialects::Names;

use super::deployment::Deployment;
use crate::front::Routes;

/// Trace context, passed on to every provider (W3C Trace Context, W3C Baggage).
const TRACE: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Headers that belong to one connection (RFC 9110, section 7.6.1), or that the client behind us sets itself.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    // Streams are read on the way back, which a compressed one cannot be.
    header::ACCEPT_ENCODING,
];

/// A request to a provider, and what has to be known when its answer comes.
pub(super) struct Outgoing {
    pub(super) request: Request<Body>,
    pub(super) plan: Plan,
}

/// How an answer is read.
pub(super) struct Plan {
    pub(super) dialect: Dialect,
    pub(super) operation: Operation,
    pub(super) streamed: bool,
    pub(super) withhold_usage: bool,
    /// The answer is decoded into the superset, undoing these; `None` leaves the bytes as they come.
    pub(super) decode: Option<Restore>,
    pub(super) model: Str,
    pub(super) losses: Vec<Loss>,
    /// About how many tokens the inputs have, for providers that do not tell.
    pub(super) estimated: Option<u64>,
}

/// Writes the request for a deployment.
pub(super) fn outgoing(call: &Call, deployment: &Deployment) -> Result<Outgoing, Error> {
    let operation = call.operation();
    let model = deployment.model_for(call.model());
    let dialect = deployment.dialect;
    let mut plan = Plan {
        dialect,
        operation,
        streamed: call.is_streamed(),
        withhold_usage: false,
        decode: None,
        model: model.clone(),
        losses: Vec::new(),
        estimated: None,
    };
    let mut headers = deployment.base_headers()?;
    pass_on(&TRACE, &call.head().headers, &mut headers);
    let same = call.payload().dialect() == Some(dialect);
    if same || (operation == Operation::Models && call.dialect() == Some(dialect)) {
        pass_on(dialect.request_headers(), &call.head().headers, &mut headers);
    }
    if deployment.forward_headers {
        forward(&call.head().headers, dialect, &mut headers);
    }
    let body = if operation == Operation::Models {
        plan.decode = (call.dialect() != Some(dialect)).then(Restore::default);
        headers.remove(header::CONTENT_TYPE);
        Body::empty()
    } else if same {
        let mut payload = call.payload().clone();
        configure(&mut payload, deployment, dialect);
        for (name, value) in &deployment.extra_body {
            payload.set(name.clone(), value.clone());
        }
        let mut prepared = dialect.prepare(&mut payload, plan.streamed)?;
        if let Some(quirks) = deployment.quirks() {
            let mut losses = losses(call, deployment);
            let names = Names::of(call.dialect());
            quirks.apply(&mut payload, &mut prepared, names, &mut losses)?;
            plan.losses = losses.into_found();
        }
        plan.withhold_usage = prepared.withhold_usage;
        let named = payload.member("model");
        let segments = match deployment.names_model_in_path(operation) {
            // There it would be an unknown member.
            true => {
                payload.remove("model");
                payload.segments()
            }
            false if named.is_some_and(|member| is_string(&member, &model)) => payload.segments(),
            false => {
                payload.segments_setting(&Str::from_static("model"), &deployment.model_json(&model))
            }
        };
        segments.map(Body::segments).unwrap_or_default()
    } else {
        let (body, extra) = encode(call, deployment, &model, &mut plan)?;
        for (name, value) in extra {
            headers.append(name, value);
        }
        body
    };
    for (name, value) in deployment.headers() {
        headers.insert(name, value.clone());
    }
    let method = if operation == Operation::Models { Method::GET } else { Method::POST };

    let in_path = match operation {
        Operation::Models => match call.payload().decode() {
            Ok(Typed::Models(Some(_))) => model,
            _ => Str::new(),
        },
        _ => model,
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = deployment.uri(operation, &in_path, plan.streamed)?;
    *request.headers_mut() = headers;
    Ok(Outgoing { request, plan })
}

/// Writes the request for whatever proxy is behind us: as it came, apart from what layers changed.
pub(super) fn same(call: &Call) -> Result<Outgoing, Error> {
    let head = call.head();
    let Some(dialect) = head.dialect else {
        return Err(Error::invalid("a call that was built in code has no address to keep"));
    };
    let mut payload = call.payload().clone();
    let mut plan = Plan {
        dialect,
        operation: call.operation(),
        streamed: call.is_streamed(),
        withhold_usage: false,
        decode: None,
        model: call.model().clone(),
        losses: Vec::new(),
        estimated: None,
    };
    let body = if plan.operation == Operation::Models {
        // Some dialects ask for one model with a body.
        match head.method == Method::POST {
            true => Body::from(format!(r#"{{"model":{}}}"#, RawJson::string(call.model()).get())),
            false => Body::empty(),
        }
    } else if payload.dialect() == Some(dialect) {
        if let Some(member) = payload.member("model")
            && !is_string(&member, call.model())
        {
            payload.set(Str::from_static("model"), RawJson::string(call.model()));
        }
        plan.withhold_usage = dialect.prepare(&mut payload, plan.streamed)?.withhold_usage;
        payload.body().unwrap_or_default()
    } else {
        // A layer rewrote the conversation: it is written anew, in the dialect it came in.
        let mut losses = Losses::under(call.loss_policy().unwrap_or_default());
        let capabilities = ziggurat_core::Capabilities::default();
        let target = Target::new(call.model(), &capabilities, head.dialect);
        let encoded = dialect.encode_request(payload.decode()?, &target, &mut losses)?;
        plan.losses = losses.into_found();
        plan.decode = (!encoded.restore.is_empty()).then_some(encoded.restore);
        Body::from(encoded.body)
    };
    let mut headers = head.headers.clone();
    strip_hop_by_hop(&mut headers);
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    let turned = Routes::default().turned(&head.uri, &head.headers, call.model());
    *request.uri_mut() = turned.unwrap_or_else(|| head.uri.clone());
    *request.headers_mut() = headers;
    Ok(Outgoing { request, plan })
}

/// Puts in what is configured where the caller says nothing, and leaves out what must not go.
pub(crate) fn configure(payload: &mut Payload, deployment: &Deployment, dialect: Dialect) {
    // What is configured of answers in words is nothing to a vector or an order.
    const OF_VECTORS: [&str; 4] = ["dimensions", "encoding_format", "input_type", "user"];
    let operation = payload.operation();
    for (name, value) in &deployment.defaults {
        let taken = match operation {
            Operation::Embeddings => OF_VECTORS.contains(&name.as_str()),
            Operation::Rerank | Operation::Moderation | Operation::Stored => false,
            _ => true,
        };
        if taken {
            dialect.set_default(payload, name, value);
        }
    }
    for name in &deployment.dropped {
        payload.remove(name.clone());
    }
}

/// A conversation that says itself whether it is streamed: of some dialects only the path does.
fn streaming(asked: &Typed, streamed: bool) -> Cow<'_, Typed> {
    match asked {
        Typed::Chat(chat) if chat.stream != streamed => {
            let mut chat = Chat::clone(chat);
            chat.stream = streamed;
            Cow::Owned(Typed::Chat(Arc::new(chat)))
        }
        asked => Cow::Borrowed(asked),
    }
}

/// No losses yet, under the policy that holds for this call here.
fn losses(call: &Call, deployment: &Deployment) -> Losses {
    let policy = call.loss_policy().unwrap_or(deployment.loss_policy);
    Losses::under(policy).passing(&deployment.allowed)
}

type Encoded = (Body, Vec<(HeaderName, HeaderValue)>);

/// Writes a conversation in another dialect than it came in.
fn encode(
    call: &Call,
    deployment: &Deployment,
    model: &Str,
    plan: &mut Plan,
) -> Result<Encoded, Error> {
    let mut payload = call.payload().clone();
    if let Some(dialect) = payload.dialect() {
        configure(&mut payload, deployment, dialect);
    }
    let mut losses = losses(call, deployment);
    let target = Target::new(model, &deployment.capabilities, call.dialect());
    let asked = streaming(payload.decode()?, plan.streamed);
    let encoded = plan.dialect.encode_request(&asked, &target, &mut losses)?;
    plan.decode = Some(encoded.restore);
    if let Typed::Embed(embed) = &*asked {
        plan.estimated = Some(embed.estimated_tokens());
    }
    let quirks = deployment.quirks();
    if deployment.extra_body.is_empty()
        && quirks.is_none()
        && !deployment.moves_model(plan.operation)
    {
        plan.losses = losses.into_found();
        return Ok((Body::from(encoded.body), encoded.headers));
    }
    let mut written = Payload::wire(plan.dialect, plan.operation, encoded.body)?;
    if let Some(quirks) = quirks {
        // Usage is asked for in what was just written; what of it is withheld is decided where it is written for the caller.
        let mut prepared = Prepared::default();
        quirks.apply(&mut written, &mut prepared, Names::of(call.dialect()), &mut losses)?;
    }
    plan.losses = losses.into_found();
    if deployment.moves_model(plan.operation) {
        written.remove("model");
    }
    for (name, value) in &deployment.extra_body {
        written.set(name.clone(), value.clone());
    }
    Ok((written.body().unwrap_or_default(), encoded.headers))
}

/// Passes the caller's headers on, in place of our own of these names.
fn pass_on(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        for (index, value) in from.get_all(name).iter().enumerate() {
            if index == 0 {
                to.insert(name, value.clone());
            } else {
                to.append(name, value.clone());
            }
        }
    }
}

/// Passes on the caller's own headers, as an operator may wish: what begins with `x-` and is neither a credential nor about the
/// way here, and the betas asked for.
fn forward(from: &HeaderMap, dialect: Dialect, to: &mut HeaderMap) {
    const OURS: [&str; 6] =
        ["x-ziggurat-", "x-litellm-", "x-forwarded-", "x-real-ip", "x-request-id", "x-stainless-"];
    const SECRET: [&str; 5] = ["key", "token", "auth", "secret", "cookie"];
    let wanted = |name: &HeaderName| match name.as_str() {
        "anthropic-beta" => dialect == ziggurat_dialects::ANTHROPIC,
        name => {
            name.starts_with("x-")
                && !OURS.iter().any(|prefix| name.starts_with(prefix))
                && !SECRET.iter().any(|word| name.contains(word))
        }
    };
    for name in from.keys().filter(|name| wanted(name)) {
        if !to.contains_key(name) {
            pass_on(std::slice::from_ref(name), from, to);
        }
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

/// Whether a JSON text is exactly this string, written without escapes.
fn is_string(json: &str, text: &str) -> bool {
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(text)
        && !text.contains(['"', '\\'])
}
