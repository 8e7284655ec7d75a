//! What is reserved before anybody knows, and what is booked when somebody does.

use ziggurat_core::{Content, ErrorKind, Outcome, Part, ProviderError, Settle, Source, Ticket};

use super::*;

fn estimate(call: &Call) -> Estimate {
    Characters::new().estimate(call)
}

#[test]
fn four_characters_are_a_token_and_a_picture_is_not_its_base64() {
    let call = Call::chat("m").user("a".repeat(400));
    assert_eq!(estimate(&call), Estimate::new(104, None));
    let data = "iVBORw0KGgo".repeat(100_000);
    let source = Source::Base64 { media_type: "image/png".into(), data: data.into() };
    let picture = || Part::new(Content::Image { source: source.clone(), detail: None });
    let call = call.with_chat(|chat| chat.messages[0].parts.push(picture()));
    assert_eq!(estimate(&call), Estimate::new(354, None));
    assert_eq!(Characters::new().media(1000).estimate(&call), Estimate::new(1104, None));
}

#[test]
fn bodies_are_not_decoded_to_leave_their_pictures_out() {
    let text = |json: &str| Characters::new().text(json.as_bytes());
    let data = "iVBORw0KGgo+/a=".repeat(100_000);
    let prose = r#"Say \"what\" you see.\n"#.repeat(1000);
    let body =
        |data: &str| format!(r#"{{"messages":[{{"text":"{prose}","a":"{data}","b":"{data}"}}]}}"#);
    let without = text(&body(""));
    assert_eq!(without, (body("").len() as u64).div_ceil(4));
    let with = text(&body(&data));
    assert!((with - without).abs_diff(2 * 250) <= 2, "{with} {without}");
    let url = text(&body(&format!("data:image/png;base64,{data}")));
    assert!((url - without).abs_diff(2 * 250) <= 2, "{url} {without}");
    // PHP escapes slashes.
    let escaped = text(&body(&data.replace('/', "\\/")));
    assert!((escaped - without).abs_diff(2 * 250) <= 2, "{escaped} {without}");
}

#[test]
fn the_callers_bound_counts_for_each_answer() {
    let call = Call::chat("m").user("Hello!").max_output_tokens(100);
    assert_eq!(estimate(&call).output, Some(100));
    assert_eq!(estimate(&call.with_chat(|chat| chat.n = Some(3))).output, Some(300));
}

/// What is booked for a call that held 100 in and 50 out.
fn booked(end: impl FnOnce(Guard)) -> Tokens {
    struct Book(Mutex<Option<Tokens>>);
    impl Settle for Book {
        fn settle(&self, _: Ticket, outcome: &Outcome) {
            *self.0.lock().unwrap() = Some(Tokens::new(100, 50).used(outcome, true));
        }
    }
    let book = Arc::new(Book(Mutex::default()));
    let guard = Settlement::open();
    guard.scope().register(book.clone(), Ticket::default()).unwrap();
    end(guard);
    let booked = *book.0.lock().unwrap();
    booked.unwrap()
}

#[test]
fn what_is_known_is_booked_and_what_is_not_stays_reserved() {
    let with = |usage: Usage, end: End| {
        booked(move |guard| {
            guard.scope().report_usage(&usage);
            guard.close(end);
        })
    };
    let failed = |kind| End::Failure(Error::provider(kind, "failed", ProviderError::default()));
    assert_eq!(with(Usage::new(7, 3), End::Success), Tokens::new(7, 3));
    assert_eq!(with(Usage::new(7, 3).reasoning(5), End::Cancelled), Tokens::new(7, 8));
    // Cut after a few words: the output is counted, the input was never told.
    let cut = booked(|guard| {
        guard.scope().report_least_output(4);
        guard.close(failed(ErrorKind::BadUpstream));
    });
    assert_eq!(cut, Tokens::new(100, 4));
    assert_eq!(booked(|guard| guard.close(End::Success)), Tokens::new(100, 50));
    assert_eq!(booked(drop), Tokens::new(100, 50));
    // An answer that says no costs nothing; one that did not come in time may have been under way.
    let mut said = ProviderError::default();
    said.status = Some(ErrorKind::BadUpstream.status());
    let refused = Error::provider(ErrorKind::BadUpstream, "no", said);
    assert_eq!(booked(|guard| guard.close(End::Failure(refused))), Tokens::default());
    assert_eq!(booked(|guard| guard.close(failed(ErrorKind::RateLimit))), Tokens::default());
    assert_eq!(booked(|guard| guard.close(failed(ErrorKind::Timeout))), Tokens::new(100, 50));
    let ours = Error::new(ErrorKind::Overloaded, "no deployment");
    assert_eq!(booked(|guard| guard.close(End::Failure(ours))), Tokens::default());
    // The caller left while no deployment was found.
    let waiting = booked(|guard| {
        let attempt = guard.scope().attempt().unwrap();
        drop(attempt);
        drop(guard);
    });
    assert_eq!(waiting, Tokens::new(100, 50), "whether it was sent is the limiter's to know");
}
