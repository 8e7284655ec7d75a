//! Embeddings from every dialect that asks for them to every dialect that makes them, and back.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{
    Answer, Ask, Capabilities, Dialect, EmbedInput, ErrorKind, LossPolicy, Losses, Members,
    Operation, Payload, Restore, Str, Target, Typed, Usage,
};
use ziggurat_dialects::{ANTHROPIC, COHERE, CONVERSE, GEMINI, OLLAMA, OPENAI, RESPONSES};

const OP: Operation = Operation::Embeddings;
const TITAN: &str = "amazon.titan-embed-text-v2:0";
const BEDROCK_COHERE: &str = "cohere.embed-english-v3";

fn payload(dialect: Dialect, body: &Value) -> Payload {
    Payload::wire(dialect, OP, Bytes::from(body.to_string())).unwrap()
}

/// What is sent, and what is lost on the way.
fn sent(
    (from, body): (Dialect, &Value),
    (to, model): (Dialect, &str),
) -> Result<(Value, Vec<String>), ziggurat_core::Error> {
    let payload = payload(from, body);
    let capabilities = Capabilities::default();
    let target = Target::new(model, &capabilities, Some(from));
    let mut losses = Losses::under(LossPolicy::Default);
    let encoded = to.encode_request(payload.decode()?, &target, &mut losses)?;
    let losses = losses.found().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), losses))
}

/// What a caller reads of a provider's answer.
fn read((from, asked): (Dialect, &Value), (to, answer): (Dialect, &Value)) -> Value {
    let bytes = Bytes::from(answer.to_string());
    let glance = to.glance(OP, &bytes);
    assert!(glance.error.is_none(), "{:?}", glance.error);
    let answer = to.decode_reply(OP, &bytes, &Restore::default()).unwrap();
    assert_eq!(answer.usage(), glance.usage);
    let mut ask = Ask::new(OP, "mine");
    ask.call_id = "call-1".into();
    ask.echo = from.echo(&payload(from, asked));
    let written = from.encode_reply(&answer, &ask, &mut Losses::default()).unwrap();
    serde_json::from_slice(&written).unwrap()
}

#[test]
fn openais_texts_are_sent_in_every_dialect() {
    let asked = json!({"model": "m", "input": ["a", "b"], "dimensions": 256, "encoding_format": "base64", "user": "u"});
    let from = (OPENAI, &asked);
    let part = |text: &str| json!({"model": "models/g", "content": {"parts": [{"text": text}]}, "outputDimensionality": 256});
    assert_eq!(
        sent(from, (GEMINI, "g")).unwrap(),
        (json!({"requests": [part("a"), part("b")]}), vec!["user=dropped".to_owned()])
    );
    let cohere = json!({"model": "c", "texts": ["a", "b"], "input_type": "search_document",
        "embedding_types": ["float"], "output_dimension": 256});
    assert_eq!(sent(from, (COHERE, "c")).unwrap(), (cohere, vec!["user=dropped".to_owned()]));
    let ollama = json!({"model": "o", "input": ["a", "b"], "dimensions": 256});
    assert_eq!(sent(from, (OLLAMA, "o")).unwrap(), (ollama, vec!["user=dropped".to_owned()]));
    let bedrock = json!({"texts": ["a", "b"], "input_type": "search_document",
        "embedding_types": ["float"], "output_dimension": 256});
    assert_eq!(sent(from, (CONVERSE, BEDROCK_COHERE)).unwrap().0, bedrock);
    let one = json!({"model": "m", "input": "a", "dimensions": 256});
    let titan = json!({"inputText": "a", "dimensions": 256});
    assert_eq!(sent((OPENAI, &one), (CONVERSE, TITAN)).unwrap(), (titan, vec![]));
    // The first Titan has vectors of one length.
    let refused = sent((OPENAI, &one), (CONVERSE, "amazon.titan-embed-text-v1")).unwrap_err();
    assert_eq!((refused.kind(), refused.param()), (ErrorKind::Unsupported, Some("dimensions")));
}

#[test]
fn what_vectors_are_for_has_a_word_in_each() {
    let query = |dialect: Dialect, body: Value, to: Dialect, model: &str| {
        sent((dialect, &body), (to, model)).unwrap()
    };
    let cohere =
        json!({"model": "c", "texts": ["a"], "input_type": "search_query", "truncate": "END"});
    let (gemini, lost) = query(COHERE, cohere.clone(), GEMINI, "g");
    assert_eq!(gemini["requests"][0]["taskType"], "RETRIEVAL_QUERY");
    assert!(lost.is_empty());
    let (openai, lost) = query(COHERE, cohere, OPENAI, "t");
    assert_eq!(openai, json!({"model": "t", "input": ["a"]}));
    assert_eq!(lost, ["input_type=dropped", "truncate=dropped"]);
    let gemini = json!({"requests": [
        {"model": "models/x", "content": {"parts": [{"text": "a"}]}, "taskType": "CLUSTERING"},
        {"model": "models/x", "content": {"parts": [{"text": "b"}]}, "taskType": "CLUSTERING"},
    ]});
    assert_eq!(query(GEMINI, gemini, COHERE, "c").0["input_type"], "clustering");
    // Clients that speak to several say it in OpenAI's request, too.
    for (word, task) in [("query", "search_query"), ("passage", "search_document")] {
        let openai = json!({"model": "m", "input": "a", "input_type": word});
        assert_eq!(query(OPENAI, openai, COHERE, "c").0["input_type"], task);
    }
}

#[test]
fn what_a_target_cannot_read_is_refused_by_the_callers_name_for_it() {
    let refused = |from: Dialect, body: Value, to: Dialect, model: &str| {
        let error = sent((from, &body), (to, model)).unwrap_err();
        assert_eq!(error.status(), 400, "{error}");
        error.param().unwrap_or_default().to_owned()
    };
    let tokens = json!({"model": "m", "input": [[1, 2], [3]]});
    assert_eq!(refused(OPENAI, tokens.clone(), GEMINI, "g"), "input[0]");
    assert_eq!(refused(OPENAI, tokens, CONVERSE, BEDROCK_COHERE), "input[0]");
    let bytes = json!({"model": "m", "texts": ["a"], "embedding_types": ["float", "int8"]});
    assert_eq!(refused(COHERE, bytes, OPENAI, "t"), "embedding_types.int8");
    let image = json!({"model": "m", "images": ["data:image/png;base64,AA=="]});
    assert_eq!(refused(COHERE, image, OLLAMA, "o"), "texts.0");
    let mixed = json!({"requests": [
        {"content": {"parts": [{"text": "a"}]}, "taskType": "CLUSTERING"},
        {"content": {"parts": [{"text": "b"}]}},
    ]});
    assert_eq!(refused(GEMINI, mixed, OPENAI, "t"), "requests[1]");
    for (body, param) in [
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": []}), "input"),
        (json!({"model": "m", "input": ["a", 1]}), "input"),
        (json!({"model": "m", "input": {"text": "a"}}), "input"),
    ] {
        assert_eq!(refused(OPENAI, body, OLLAMA, "o"), param);
    }
    let asked = json!({"model": "m", "input": "a"});
    for without in [ANTHROPIC, RESPONSES] {
        let error = sent((OPENAI, &asked), (without, "m")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(sent((OPENAI, &asked), (CONVERSE, "amazon.nova-pro-v1:0")).is_err());
}

/// The same two vectors, as each provider answers.
fn answers() -> Vec<(Dialect, Value, Option<Usage>)> {
    let mut input = Usage::default();
    input.input = Some(7);
    vec![
        (
            OPENAI,
            json!({"object": "list", "model": "t", "usage": {"prompt_tokens": 7, "total_tokens": 7}, "data": [
                {"object": "embedding", "index": 1, "embedding": [-2.5, 0.5]},
                {"object": "embedding", "index": 0, "embedding": [0.25, 1.0]},
            ]}),
            Some(input),
        ),
        (
            OPENAI,
            json!({"data": [{"index": 0, "embedding": "AACAPgAAgD8="}, {"index": 1, "embedding": "AAAgwAAAAD8="}],
                "usage": {"prompt_tokens": 7, "total_tokens": 7}}),
            Some(input),
        ),
        (GEMINI, json!({"embeddings": [{"values": [0.25, 1.0]}, {"values": [-2.5, 0.5]}]}), None),
        (
            COHERE,
            json!({"id": "e", "response_type": "embeddings_by_type", "texts": ["a", "b"],
                "embeddings": {"float": [[0.25, 1.0], [-2.5, 0.5]]}, "meta": {"billed_units": {"input_tokens": 7.0}}}),
            Some(input),
        ),
        (
            CONVERSE,
            json!({"id": "e", "response_type": "embeddings_floats", "embeddings": [[0.25, 1.0], [-2.5, 0.5]]}),
            None,
        ),
        (
            OLLAMA,
            json!({"model": "o", "embeddings": [[0.25, 1.0], [-2.5, 0.5]], "prompt_eval_count": 7}),
            Some(input),
        ),
    ]
}

#[test]
fn every_answer_is_read_by_every_caller() {
    let floats = json!({"model": "m", "input": ["a", "b"]});
    let base64 = json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64"});
    let gemini = json!({"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]});
    let cohere = json!({"model": "m", "texts": ["a", "b"], "embedding_types": ["float", "base64"]});
    let ollama = json!({"model": "m", "input": ["a", "b"]});
    let one = json!([0.25, 1.0]);
    let other = json!([-2.5, 0.5]);
    let same = |value: &Value, expected: &Value| {
        // `1` and `1.0` are one number.
        let list = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
        assert_eq!(list(value), list(expected));
    };
    for (dialect, answer, usage) in answers() {
        let to = (dialect, &answer);
        let tokens = usage.map_or(0, |usage| usage.total_input());

        let list = read((OPENAI, &floats), to);
        assert_eq!(
            (&list["object"], &list["usage"]["total_tokens"]),
            (&json!("list"), &json!(tokens))
        );
        assert_eq!(
            (&list["data"][1]["index"], &list["data"][1]["object"]),
            (&json!(1), &json!("embedding"))
        );
        same(&list["data"][0]["embedding"], &one);
        same(&list["data"][1]["embedding"], &other);

        let list = read((OPENAI, &base64), to);
        assert_eq!(list["data"][0]["embedding"], "AACAPgAAgD8=", "{dialect}");
        assert_eq!(list["data"][1]["embedding"], "AAAgwAAAAD8=", "{dialect}");

        let batch = read((GEMINI, &gemini), to);
        same(&batch["embeddings"][0]["values"], &one);
        same(&batch["embeddings"][1]["values"], &other);

        let by_type = read((COHERE, &cohere), to);
        same(&by_type["embeddings"]["float"][1], &other);
        assert_eq!(by_type["embeddings"]["base64"][0], "AACAPgAAgD8=");
        assert_eq!(
            (&by_type["texts"], &by_type["response_type"]),
            (&json!(["a", "b"]), &json!("embeddings_by_type"))
        );
        if usage.is_some() {
            assert_eq!(by_type["meta"]["billed_units"]["input_tokens"], tokens);
        }

        let lists = read((OLLAMA, &ollama), to);
        same(&lists["embeddings"][0], &one);
        same(&lists["embeddings"][1], &other);
    }
}

#[test]
fn forms_for_one_text_are_answered_in_kind() {
    let (dialect, answer, _) = &answers()[0];
    let gemini = json!({"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "taskType": "RETRIEVAL_QUERY"});
    assert_eq!(
        read((GEMINI, &gemini), (*dialect, answer))["embedding"]["values"],
        json!([0.25, 1.0])
    );
    let (sent, _) = sent((GEMINI, &gemini), (OPENAI, "t")).unwrap();
    assert_eq!(sent["input"], json!(["a\nb"]));
    let ollama = json!({"model": "m", "prompt": "a"});
    assert_eq!(read((OLLAMA, &ollama), (*dialect, answer)), json!({"embedding": [0.25, 1.0]}));
    // Titan answers so, too.
    let titan = json!({"embedding": [0.25, 1.0], "inputTextTokenCount": 7});
    let asked = json!({"model": "m", "input": "a"});
    let list = read((OPENAI, &asked), (CONVERSE, &titan));
    assert_eq!(
        (&list["data"][0]["embedding"], &list["usage"]["prompt_tokens"]),
        (&json!([0.25, 1.0]), &json!(7))
    );
}

#[test]
fn numbers_are_passed_on_as_they_were_written() {
    // As many digits as a provider writes, and in its own way.
    let answer = r#"{"embeddings":[{"values":[1e-05,0.123456789012345678901,-0.0]}]}"#;
    let Answer::Embeddings(read) = GEMINI
        .decode_reply(OP, &Bytes::from_static(answer.as_bytes()), &Restore::default())
        .unwrap()
    else {
        panic!("vectors")
    };
    let answer = Answer::Embeddings(read);
    let written = OPENAI.encode_reply(&answer, &Ask::new(OP, "m"), &mut Losses::default()).unwrap();
    assert!(
        std::str::from_utf8(&written).unwrap().contains("[1e-05,0.123456789012345678901,-0.0]")
    );
}

#[test]
fn what_is_no_answer_is_the_providers_fault() {
    let bad = [
        (OPENAI, "{}"),
        (OPENAI, r#"{"data":{}}"#),
        (OPENAI, r#"{"error":{"message":"no"}}"#),
        (GEMINI, r#"{"embeddings":null}"#),
        (COHERE, r#"{"message":"no"}"#),
        (OLLAMA, r#"{"error":"no"}"#),
        (CONVERSE, r#"{"x":1}"#),
        (OPENAI, "<html>"),
    ];
    for (dialect, body) in bad {
        let body = Bytes::from_static(body.as_bytes());
        assert!(dialect.glance(OP, &body).error.is_some(), "{dialect}: {body:?}");
    }
    for (dialect, body) in [
        (OPENAI, r#"{"data":[{"index":0}]}"#),
        (OPENAI, r#"{"data":[{"index":0,"embedding":{"a":1}}]}"#),
        (GEMINI, r#"{"embeddings":[{"values":1}]}"#),
        (COHERE, r#"{"embeddings":[1]}"#),
        (COHERE, r#"{"embeddings":{"float":1}}"#),
        (OLLAMA, r#"{"embeddings":["a"]}"#),
        (CONVERSE, r#"{"embedding":"a"}"#),
    ] {
        let body = Bytes::from_static(body.as_bytes());
        let error = dialect.decode_reply(OP, &body, &Restore::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream, "{dialect}: {body:?}");
    }
}

#[test]
fn what_was_understood_is_written_again() {
    for (dialect, body) in [
        (
            OPENAI,
            json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "user": "u", "input_type": "query", "x": 1}),
        ),
        (OPENAI, json!({"model": "m", "input": [[1, 2], [3]]})),
        (
            COHERE,
            json!({"model": "m", "texts": ["a"], "input_type": "classification", "embedding_types": ["int8", "base64"], "output_dimension": 8, "truncate": "NONE", "x": 1}),
        ),
        (
            COHERE,
            json!({"model": "m", "images": ["data:image/png;base64,AA=="], "input_type": "image", "embedding_types": ["float"]}),
        ),
        (
            COHERE,
            json!({"model": "m", "inputs": [{"content": [{"type": "text", "text": "a"}]}], "input_type": "search_query", "embedding_types": ["float"]}),
        ),
        (
            OLLAMA,
            json!({"model": "m", "input": ["a"], "truncate": false, "dimensions": 8, "options": {"num_ctx": 1}}),
        ),
    ] {
        let (sent, losses) = sent((dialect, &body), (dialect, "m")).unwrap();
        assert_eq!((sent, losses), (body, vec![]), "{dialect}");
    }
    let gemini = json!({"requests": [{"model": "models/m", "content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}, "taskType": "QUESTION_ANSWERING", "outputDimensionality": 8, "title": "t"}]});
    let members = Members::parse(Str::from(gemini.to_string().as_str())).unwrap();
    let Typed::Embed(embed) = GEMINI.decode_request(OP, &members).unwrap() else { panic!("embed") };
    assert!(matches!(embed.inputs[..], [EmbedInput::Other(_)]));
    assert_eq!(sent((GEMINI, &gemini), (GEMINI, "m")).unwrap(), (gemini, vec![]));
}
