//! What is kept, for whom, and for how long.

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::fake::{busy, done, failed, read, secs};

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_given_again_and_costs_nothing() {
    let provider = Provider::default();
    let (cache, caches) = cached(&provider);
    let (first, paid, head) = answer(&cache, openai("Hello", false)).await;
    assert!(!head.cached);
    assert_eq!(nanos(&paid), Some(9));
    assert_eq!(paid.deployment.as_deref(), Some("d"));
    let (second, free, again) = answer(&cache, openai("Hello", false)).await;
    assert_eq!(first, WHOLE);
    assert_eq!(second, WHOLE);
    assert!(again.cached && free.cached && !paid.cached);
    assert_eq!(again.cache_key, head.cache_key);
    assert_eq!(again.cache_key.unwrap().len(), 64);
    assert_eq!(again.attempts, 0);
    assert_eq!((nanos(&free), free.tokens(), free.attempts.len()), (Some(0), 9, 0));
    assert_eq!(provider.calls(), 1);
    let stats = caches.stats();
    assert_eq!((stats.hits, stats.misses, stats.stored), (1, 1, 1));
    // Something else is something else.
    answer(&cache, openai("Goodbye", false)).await;
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_replayed_in_the_frames_it_came_in() {
    let provider = Provider::streams(acts(true));
    let (cache, _) = cached(&provider);
    let (first, log) = ask(&cache, openai("Hello", true)).await;
    let (live, _) = read(&mut first.unwrap()).await;
    assert_eq!(nanos(&log.outcome()), Some(9));
    let (second, log) = ask(&cache, openai("Hello", true)).await;
    let (replayed, error) = read(&mut second.unwrap()).await;
    assert!(error.is_none());
    assert_eq!(live, replayed);
    assert_eq!(replayed.len(), CHUNKS.len());
    let outcome = log.outcome();
    assert!(outcome.is_success() && outcome.first_content.is_some());
    assert_eq!((nanos(&outcome), outcome.tokens()), (Some(0), 9));
    assert_eq!(provider.calls(), 1);
}

/// Limits and names of a request that was made yesterday, for somebody else perhaps.
#[tokio::test(start_paused = true)]
async fn a_hit_tells_nothing_of_the_request_that_it_repeats() {
    for stream in [false, true] {
        let mut reply = if stream { from_openai(script(acts(true)).0) } else { whole() };
        said_to_one(reply.head_mut());
        let provider = Provider::of([Turn::Reply(reply)]);
        let (cache, _) = cached(&provider);
        answer(&cache, openai("Hello", stream)).await;
        let (_, _, head) = answer(&cache, openai("Hello", stream)).await;
        assert_is_told_nothing(&head);
    }
}

#[tokio::test(start_paused = true)]
async fn equal_calls_in_different_dialects_share_an_entry() {
    for stream in [false, true] {
        let turn = match stream {
            false => Turn::Reply(whole()),
            true => Turn::Reply(from_openai(script(acts(true)).0)),
        };
        let provider = Provider::of([turn]);
        let (cache, _) = cached(&provider);
        answer(&cache, openai("Hello", stream)).await;
        let (text, outcome, head) = answer(&cache, anthropic("Hello", stream)).await;
        assert!(head.cached, "streamed: {stream}");
        assert_eq!(provider.calls(), 1);
        // In the asking dialect, usage included, which nobody asked for the first time.
        let stop = if stream { r#""type":"message_stop""# } else { r#""type":"message""# };
        assert!(text.contains(stop), "{text}");
        assert!(text.contains(r#""output_tokens":2"#), "{text}");
        assert_eq!(outcome.tokens(), 9);
    }
}

#[tokio::test(start_paused = true)]
async fn usage_is_shown_to_those_who_asked_and_to_nobody_else() {
    let without = all_chunks().replace(&chunk(USAGE), "");
    for asked_first in [false, true] {
        let provider = Provider::streams(acts(!asked_first));
        let (cache, _) = cached(&provider);
        let first = if asked_first { openai_with_usage("Hello") } else { openai("Hello", true) };
        answer(&cache, first).await;
        for _ in 0..2 {
            assert_eq!(answer(&cache, openai("Hello", true)).await.0, without);
            assert_eq!(answer(&cache, openai_with_usage("Hello")).await.0, all_chunks());
        }
        assert_eq!(provider.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_known_by_the_very_bytes_is_shown_what_they_ask_for() {
    let provider = Provider::streams(acts(true));
    let (cache, caches) = cached(&provider);
    answer(&cache, openai("Hello", true)).await;
    // The first time by what it says, and by its bytes from then on.
    for _ in 0..3 {
        assert_eq!(answer(&cache, openai_with_usage("Hello")).await.0, all_chunks());
        assert!(!answer(&cache, openai("Hello", true)).await.0.contains("usage"));
        assert!(answer(&cache, anthropic("Hello", true)).await.2.cached);
    }
    // One answer, under three names.
    assert_eq!((provider.calls(), caches.stats().hits, caches.stats().entries), (1, 9, 4));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_what_is_not_complete() {
    let cut = || acts(true).into_iter().take(3);
    let cases: Vec<(&str, Vec<Act>)> = vec![
        ("no terminator", cut().collect()),
        ("broken off", cut().chain([Act::Fail(busy())]).collect()),
        ("an error event", cut().chain([Act::Frame(failed())]).collect()),
        ("a foreign end", vec![Act::Frame(done())]),
    ];
    for (name, acts) in cases {
        let provider = Provider::streams(acts);
        let (cache, caches) = cached(&provider);
        let (reply, log) = ask(&cache, openai("Hello", true)).await;
        read(&mut reply.unwrap()).await;
        log.outcome();
        let (reply, _) = ask(&cache, openai("Hello", true)).await;
        assert!(!reply.unwrap().head().cached, "{name}");
        assert_eq!((provider.calls(), caches.stats().hits), (2, 0), "{name}");
    }
    // One that nobody read to the end.
    let provider = Provider::streams(acts(true));
    let (cache, caches) = cached(&provider);
    let (reply, _) = ask(&cache, openai("Hello", true)).await;
    let mut reply = reply.unwrap();
    crate::fake::next(&mut reply).await.unwrap().unwrap();
    drop(reply);
    assert_eq!(caches.stats().stored, 0);
    assert_eq!(caches.stats().flights, 0);
}

#[tokio::test(start_paused = true)]
async fn errors_and_answers_of_other_models_are_not_kept() {
    let mut other = whole();
    other.head_mut().fallbacks = 1;
    let provider = Provider::of([Turn::Fail(busy()), Turn::Reply(other)]);
    let (cache, caches) = cached(&provider);
    let (error, log) = ask(&cache, openai("Hello", false)).await;
    assert_eq!(error.unwrap_err().kind(), busy().kind());
    assert!(!log.outcome().is_success());
    for _ in 0..2 {
        assert!(!answer(&cache, openai("Hello", false)).await.2.cached);
    }
    assert!(answer(&cache, openai("Hello", false)).await.2.cached);
    assert_eq!((provider.calls(), caches.stats().stored), (3, 1));
    assert_eq!(caches.stats().flights, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_the_bound_is_given_and_not_kept() {
    for stream in [false, true] {
        let turn = if stream { script(acts(true)).0 } else { whole() };
        let provider = Provider::of([Turn::Reply(from_openai(turn))]);
        let caches = Arc::new(Caches::new().local(1 << 20));
        let cache = CacheLayer::new(caches.clone()).max_entry(100).layer(provider.clone());
        let (text, outcome, _) = answer(&cache, openai("Hello", stream)).await;
        assert!(text.len() > 100 && outcome.is_success());
        assert_eq!((nanos(&outcome), caches.stats().stored), (Some(9), 0));
        assert_eq!(caches.stats().flights, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time() {
    let provider = Provider::default();
    let caches = Arc::new(Caches::new().local(1 << 20));
    let cache = CacheLayer::new(caches).ttl(secs(60)).ambient(Clock::default());
    let cache = cache.layer(provider.clone());
    let cached = async |call: Call| answer(&cache, call).await.2.cached;
    let aged = |max: u64| {
        let mut call = openai("Hello", false);
        call.controls_mut().cache.max_age = Some(secs(max));
        call
    };
    assert!(!cached(openai("Hello", false)).await);
    advance(secs(30)).await;
    assert!(cached(aged(30)).await);
    advance(secs(1)).await;
    assert!(cached(openai("Hello", false)).await);
    assert!(!cached(aged(30)).await, "older than that caller takes");
    advance(secs(59)).await;
    assert!(cached(openai("Hello", false)).await, "the newer answer took its place");
    advance(secs(1)).await;
    assert!(!cached(openai("Hello", false)).await);
    // The call's own time.
    let mut brief = openai("Brief", false);
    brief.controls_mut().cache.ttl = Some(secs(5));
    assert!(!cached(brief).await);
    advance(secs(4)).await;
    assert!(cached(openai("Brief", false)).await);
    advance(secs(1)).await;
    assert!(!cached(openai("Brief", false)).await);
}

#[tokio::test(start_paused = true)]
async fn callers_say_what_the_cache_may_do() {
    let provider = Provider::default();
    let (cache, _) = cached(&provider);
    let said = |say: fn(&mut ziggurat_core::CacheControls)| {
        let mut call = openai("Hello", false);
        say(&mut call.controls_mut().cache);
        call
    };
    let cached = async |call: Call| answer(&cache, call).await.2.cached;
    assert!(!cached(said(|cache| cache.no_store = true)).await);
    assert!(!cached(said(|cache| cache.no_store = true)).await, "it was not kept");
    assert!(!cached(said(|cache| cache.no_cache = true)).await);
    assert!(cached(said(|cache| cache.no_store = true)).await, "it was");
    assert!(!cached(said(|cache| cache.no_cache = true)).await);
    assert!(!cached(said(|cache| cache.namespace = Some("a".into()))).await);
    assert!(cached(said(|cache| cache.namespace = Some("a".into()))).await);
    assert!(!cached(said(|cache| cache.namespace = Some("b".into()))).await);
    assert!(!cached(said(|cache| cache.use_cache = Some(false))).await);
    assert!(cached(said(|_| {})).await);
}

/// Rivals' caches were shared by all tenants of a gateway.
#[tokio::test(start_paused = true)]
async fn no_tenant_reads_what_another_was_answered() {
    let caller = |key: &str, team: &str| {
        let mut call = openai("Hello", false);
        call.set_caller(Caller::new(key).team(team).organization("o"));
        call
    };
    let nobody = |header: &'static str, credential: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header, HeaderValue::from_static(credential));
        let body = openai("Hello", false).payload().bytes().unwrap();
        let mut call =
            with_headers(OPENAI, String::from_utf8(body.to_vec()).unwrap(), false, headers);
        call.set_caller(Caller::anonymous());
        call
    };
    let askers = || {
        vec![
            caller("1", "a"),
            caller("2", "a"),
            caller("3", "b"),
            nobody("authorization", "Bearer 1"),
            nobody("authorization", "Bearer 2"),
            nobody("x-api-key", "Bearer 2"),
        ]
    };
    for (scope, expected) in [
        (CacheScope::Key, 6),
        (CacheScope::Team, 5),
        (CacheScope::Organization, 4),
        (CacheScope::Global, 1),
    ] {
        let provider = Provider::default();
        let caches = Arc::new(Caches::new().local(1 << 20));
        let cache = CacheLayer::new(caches).scope(scope).layer(provider.clone());
        for _ in 0..2 {
            for call in askers() {
                answer(&cache, call).await;
            }
        }
        assert_eq!(provider.calls(), expected, "{scope:?}");
    }
    let provider = Provider::default();
    let caches = Arc::new(Caches::new().local(1 << 20));
    let region = |call: &Call| call.caller().team_id().map(Str::from);
    let layer = CacheLayer::new(caches).scope(CacheScope::Global).partition(region);
    let cache = layer.layer(provider.clone());
    for call in askers() {
        answer(&cache, call).await;
    }
    assert_eq!(provider.calls(), 3, "a, b, and those of no team");
}

#[tokio::test(start_paused = true)]
async fn what_steers_the_answer_beside_the_conversation_is_in_the_key() {
    let provider = Provider::default();
    let (cache, _) = cached(&provider);
    let mut refuses = openai("Hello", false);
    refuses.set_loss_policy(ziggurat_core::LossPolicy::Refuse);
    let mut other = openai("Hello", false);
    other.set_model("o3");
    let mut headers = HeaderMap::new();
    headers.insert("openai-beta", HeaderValue::from_static("x=1"));
    let body = openai("Hello", false).payload().bytes().unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let beta = with_headers(OPENAI, body, false, headers);
    let mut from_there = openai("Hello", false);
    from_there.controls_mut().region = Some("eu".into());
    for call in [openai("Hello", false), refuses, other, beta, from_there] {
        assert!(!answer(&cache, call).await.2.cached);
    }
    // An edit is part of what is asked.
    let mut edited = openai("Hello", false);
    edited.payload_mut().set("temperature", ziggurat_core::RawJson::of(&1).unwrap());
    assert!(!answer(&cache, edited.clone()).await.2.cached);
    assert!(answer(&cache, edited).await.2.cached);
    assert!(answer(&cache, openai("Hello", false)).await.2.cached);
}

/// Rivals look up the first few messages only, or nothing at all past four.
#[tokio::test(start_paused = true)]
async fn long_conversations_are_cached_like_short_ones() {
    let provider = Provider::default();
    let (cache, _) = cached(&provider);
    let long = |last: &str| {
        let mut messages: Vec<String> = (0..200)
            .map(|turn| {
                let role = if turn % 2 == 0 { "user" } else { "assistant" };
                format!(r#"{{"role":"{role}","content":"turn {turn}"}}"#)
            })
            .collect();
        messages.push(format!(r#"{{"role":"user","content":"{last}"}}"#));
        let messages = messages.join(",");
        wire(OPENAI, format!(r#"{{"model":"gpt","messages":[{messages}]}}"#), false)
    };
    for (last, expected) in [("a", false), ("a", true), ("b", false)] {
        assert_eq!(answer(&cache, long(last)).await.2.cached, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_hits_is_never_decoded() {
    let provider = Provider::default();
    let (cache, caches) = cached(&provider);
    let image = "iVBORw0KGgoA".repeat((10 << 20) / 12);
    let body = format!(
        r#"{{"model":"gpt","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
    );
    answer(&cache, wire(OPENAI, body.clone(), false)).await;
    let again = counting(body);
    assert!(answer(&cache, again.clone()).await.2.cached);
    assert_eq!(DECODED.load(Ordering::Relaxed), 0);
    assert_eq!((provider.calls(), caches.stats().hits), (1, 1));
    // The dialect that counts would have counted.
    again.payload().chat().unwrap();
    assert_eq!(DECODED.load(Ordering::Relaxed), 1);
}

static DECODED: AtomicUsize = AtomicUsize::new(0);

fn counting(body: String) -> Call {
    wire(Dialect::new(&counted::CODEC), body, false)
}

mod counted {
    //! OpenAI's dialect, whose decoder counts.

    use std::borrow::Cow;

    use http::{HeaderName, StatusCode};
    use ziggurat_core::{
        Answer, Ask, Codec, Cutter, EncodedRequest, Glance, Losses, Members, Prepared, Restore,
        Secret, StreamDecoder, StreamEncoder, Target, Typed,
    };

    use super::*;

    pub(super) static CODEC: Counted = Counted;

    pub(super) struct Counted;

    impl Codec for Counted {
        fn name(&self) -> &'static str {
            OPENAI.name()
        }
        fn decode_request(&self, of: Operation, members: &Members) -> Result<Typed, Error> {
            DECODED.fetch_add(1, Ordering::Relaxed);
            OPENAI.decode_request(of, members)
        }
        fn path(&self, of: Operation, model: &str, stream: bool) -> Cow<'static, str> {
            OPENAI.path(of, model, stream)
        }
        fn request_headers(&self) -> &'static [HeaderName] {
            OPENAI.request_headers()
        }
        fn steering_headers(&self) -> &'static [HeaderName] {
            OPENAI.steering_headers()
        }
        fn reply_headers(&self) -> &'static [HeaderName] {
            OPENAI.reply_headers()
        }
        fn request_id_header(&self) -> HeaderName {
            OPENAI.request_id_header()
        }
        fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
            OPENAI.authorize(headers, key)
        }
        fn encode_request(
            &self,
            request: &Typed,
            target: &Target<'_>,
            losses: &mut Losses,
        ) -> Result<EncodedRequest, Error> {
            OPENAI.encode_request(request, target, losses)
        }
        fn prepare(&self, payload: &mut Payload, stream: bool) -> Result<Prepared, Error> {
            OPENAI.prepare(payload, stream)
        }
        fn glance(&self, of: Operation, body: &Bytes) -> Glance {
            OPENAI.glance(of, body)
        }
        fn decode_reply(
            &self,
            of: Operation,
            body: &Bytes,
            restore: &Restore,
        ) -> Result<Answer, Error> {
            OPENAI.decode_reply(of, body, restore)
        }
        fn encode_reply(
            &self,
            answer: &Answer,
            ask: &Ask,
            losses: &mut Losses,
        ) -> Result<Bytes, Error> {
            OPENAI.encode_reply(answer, ask, losses)
        }
        fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
            OPENAI.cutter(options)
        }
        fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
            OPENAI.decoder(restore)
        }
        fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
            OPENAI.encoder(ask)
        }
        fn keep_alive(&self) -> Bytes {
            OPENAI.keep_alive()
        }
        fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
            OPENAI.decode_error(status, headers, body)
        }
        fn encode_error(&self, error: &Error, id: Option<&str>) -> (StatusCode, Bytes) {
            OPENAI.encode_error(error, id)
        }
        fn encode_stream_error(&self, error: &Error, id: Option<&str>) -> Bytes {
            OPENAI.encode_stream_error(error, id)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_read_gets_its_error_below() {
    let provider = Provider::default();
    let (cache, caches) = cached(&provider);
    let call = || wire(OPENAI, r#"{"model":"gpt","messages":"no list"}"#.into(), false);
    for _ in 0..2 {
        ask(&cache, call()).await.0.unwrap();
    }
    assert_eq!(provider.calls(), 2);
    assert_eq!(caches.stats(), CacheStats::default());
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_built_in_code_are_cached_too() {
    let provider = Provider::default();
    let (cache, _) = cached(&provider);
    let call = || {
        let mut call = Call::chat("gpt").user("Hello").max_output_tokens(9);
        call.set_caller(Caller::new("key-1"));
        call
    };
    assert!(!ask(&cache, call()).await.0.unwrap().head().cached);
    assert!(ask(&cache, call()).await.0.unwrap().head().cached);
    // And they are the same calls as those that came over a wire.
    assert!(answer(&cache, openai("Hello", false)).await.2.cached);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_gone_and_what_is_on_its_way_is_not_kept() {
    let provider = Provider::default();
    let (cache, caches) = cached(&provider);
    let key: Key =
        answer(&cache, openai("Hello", false)).await.2.cache_key.unwrap().parse().unwrap();
    assert_eq!(caches.delete(&[key]).await.unwrap(), 1);
    assert_eq!(caches.delete(&[key]).await.unwrap(), 0);
    assert!(!answer(&cache, openai("Hello", false)).await.2.cached);
    answer(&cache, openai("Goodbye", false)).await;
    caches.clear().await.unwrap();
    assert!(!answer(&cache, openai("Hello", false)).await.2.cached);
    assert!(!answer(&cache, openai("Goodbye", false)).await.2.cached);
    caches.ping().await.unwrap();
    for flush in [false, true] {
        let provider = Provider::streams(acts(true));
        let (cache, caches) = cached(&provider);
        let (reply, _) = ask(&cache, openai("Hello", true)).await;
        let mut reply = reply.unwrap();
        crate::fake::next(&mut reply).await.unwrap().unwrap();
        let key: Key = reply.head().cache_key.clone().unwrap().parse().unwrap();
        match flush {
            true => caches.clear().await.unwrap(),
            false => drop(caches.delete(&[key]).await.unwrap()),
        }
        read(&mut reply).await;
        assert_eq!(caches.stats().stored, 0, "flushed: {flush}");
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_weight() {
    let provider = Provider::default();
    let bound = 20 << 10;
    let caches = Arc::new(Caches::new().local(bound));
    let cache = CacheLayer::new(caches.clone()).layer(provider.clone());
    for question in 0..500 {
        answer(&cache, openai(&question.to_string(), false)).await;
        assert!(caches.stats().bytes <= bound, "{:?}", caches.stats());
    }
    assert_eq!(caches.stats().stored, 500);
    assert!(caches.stats().entries > 5);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_off_is_not_there() {
    let provider = Provider::default();
    let caches = Arc::new(Caches::new().local(1 << 20));
    let cache = CacheLayer::new(caches.clone()).only_when_asked().layer(provider.clone());
    for _ in 0..2 {
        let (_, _, head) = answer(&cache, openai("Hello", false)).await;
        assert!(!head.cached && head.cache_key.is_none());
    }
    let mut asking = openai("Hello", false);
    asking.controls_mut().cache.use_cache = Some(true);
    assert!(!answer(&cache, asking.clone()).await.2.cached);
    assert!(answer(&cache, asking).await.2.cached);
    assert_eq!(provider.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn names_that_were_changed_on_the_way_are_kept_as_the_caller_knows_them() {
    // A provider of Anthropic's dialect that was asked with a shorter name for the tool.
    let restored = ziggurat_core::Frame::of_events;
    let events = tool_stream("a_long_name");
    let mut frames: Vec<Frame> = Vec::new();
    for event in events {
        let mut frame = restored(vec![event]);
        frame = frame.with_bytes(Bytes::from_static(b"data: {\"name\":\"short\"}\n\n"));
        frames.push(frame);
    }
    let (mut reply, _) = script(frames.into_iter().map(Act::Frame));
    reply.wrap_frames(Decodes);
    reply.head_mut().dialect = Some(ANTHROPIC);
    let provider = Provider::of([Turn::Reply(reply)]);
    let (cache, _) = cached(&provider);
    let (live, ..) = answer(&cache, openai("Hello", true)).await;
    let (again, _, head) = answer(&cache, openai("Hello", true)).await;
    assert!(head.cached);
    assert!(live.contains("a_long_name") && again.contains("a_long_name"), "{live}\n{again}");
    let (own, _, head) = answer(&cache, anthropic("Hello", true)).await;
    assert!(head.cached && own.contains("a_long_name") && !own.contains("short"), "{own}");
}

struct Decodes(Box<dyn ziggurat_core::Frames>);

impl ziggurat_core::Frames for Decodes {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.0.poll_frame(cx)
    }

    fn decodes(&self) -> bool {
        true
    }
}

fn tool_stream(name: &str) -> Vec<ziggurat_core::Event> {
    use ziggurat_core::{Event, PartId, PartKind, Start, Stop, StopReason, ToolCallKind, Usage};
    let part = PartId::first(0);
    let kind =
        PartKind::ToolCall { id: "t1".into(), name: name.into(), kind: ToolCallKind::Function };
    vec![
        Event::Start(Box::new(Start::new("m", "claude"))),
        Event::PartStart { part, kind: Box::new(kind) },
        Event::Arguments { part, fragment: "{}".into() },
        Event::PartEnd { part },
        Event::Usage(Box::new(Usage::new(7, 2))),
        Event::Stop { choice: 0, stop: Box::new(Stop::new(StopReason::ToolCalls)) },
        Event::End,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a transport chopped it, the same bytes come again.
    #[test]
    fn how_a_stream_was_chopped_changes_nothing(
        sizes in prop::collection::vec(1_usize..200, 1..40),
        asked in any::<bool>(),
    ) {
        let stream = all_chunks();
        let mut cutter = OPENAI.cutter(&CutOptions::default().withhold_usage(!asked));
        let mut rest = stream.as_bytes();
        let mut acts = Vec::new();
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            cutter.push(Bytes::copy_from_slice(piece));
            acts.extend(std::iter::from_fn(|| cutter.next_frame().unwrap()).map(Act::Frame));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let replayed = runtime.unwrap().block_on(async {
            let provider = Provider::streams(acts);
            let (cache, caches) = cached(&provider);
            let first = if asked { openai_with_usage("x") } else { openai("x", true) };
            answer(&cache, first).await;
            let plain = answer(&cache, openai("x", true)).await.0;
            let usage = answer(&cache, openai_with_usage("x")).await.0;
            (plain, usage, caches.stats().hits)
        });
        prop_assert_eq!(replayed, (stream.replace(&chunk(USAGE), ""), stream, 2));
    }
}
