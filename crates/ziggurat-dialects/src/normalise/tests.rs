use ziggurat_core::{CacheMark, LossPolicy, Str, ToolCallKind};

use super::*;

fn call(id: &str) -> Part {
    Part::new(Content::ToolCall {
        id: Str::from(id),
        name: Str::from("f"),
        arguments: Str::from("{}"),
        kind: ToolCallKind::Function,
        signature: None,
    })
}

fn result(id: &str, text: &str) -> Part {
    Part::new(Content::ToolResult {
        call_id: Str::from(id),
        name: None,
        parts: vec![Part::text(text)],
        is_error: false,
    })
}

fn calls(ids: &[&str]) -> Message {
    Message::new(Role::Assistant, ids.iter().map(|id| call(id)).collect())
}

fn tool(id: &str, text: &str) -> Message {
    Message::new(Role::Tool, vec![result(id, text)])
}

fn user(text: &str) -> Message {
    Message::text(Role::User, text)
}

fn system(text: &str) -> Message {
    Message::text(Role::System, text)
}

/// One line per message: the role's first letter and what it says.
fn sketch(messages: &[Message]) -> Vec<String> {
    let part = |part: &Part| match &part.content {
        Content::Text { text, .. } => format!("{text:?}"),
        Content::ToolCall { id, .. } => format!("call {id}"),
        Content::ToolResult { call_id, parts, is_error, .. } => {
            let text = parts.first().and_then(Part::as_text).unwrap_or_default();
            format!("{} {call_id} {text:?}", if *is_error { "failed" } else { "result" })
        }
        other => format!("{other:?}"),
    };
    let line = |message: &Message| {
        let parts: Vec<_> = message.parts.iter().map(part).collect();
        format!("{:?}: {}", message.role, parts.join(", "))
    };
    messages.iter().map(line).collect()
}

fn run(messages: Vec<Message>, profile: &Profile) -> (Conversation<'static>, Losses) {
    let mut talk = Conversation::new(Vec::new(), messages);
    let mut losses = Losses::under(LossPolicy::Default);
    normalise(&mut talk, profile, Names::OpenAi, &mut losses).unwrap();
    (talk, losses)
}

fn normal(messages: Vec<Message>, profile: &Profile) -> Vec<String> {
    sketch(&run(messages, profile).0.messages)
}

fn after_user() -> Profile {
    Profile { mid_system: MidSystem::AfterUser, ..Profile::alternating() }
}

#[test]
fn leading_system_messages_become_the_system_prompt() {
    let (talk, losses) = run(
        vec![system("a"), Message::text(Role::Developer, "b"), user("hi")],
        &Profile::alternating(),
    );
    let prompt: Vec<_> = talk.system.iter().filter_map(Part::as_text).collect();
    assert_eq!(prompt, ["a", "b"]);
    assert_eq!(sketch(&talk.messages), [r#"User: "hi""#]);
    assert!(losses.found().is_empty());
}

#[test]
fn a_system_message_in_the_middle_stays_where_the_target_takes_it() {
    let talk = || vec![user("a"), system("s"), Message::text(Role::Assistant, "b"), user("c")];
    assert_eq!(
        normal(talk(), &Profile::free()),
        [r#"User: "a""#, r#"System: "s""#, r#"Assistant: "b""#, r#"User: "c""#]
    );
    assert_eq!(
        normal(talk(), &after_user()),
        [r#"User: "a""#, r#"System: "s""#, r#"Assistant: "b""#, r#"User: "c""#]
    );
    let (wrapped, losses) = run(talk(), &Profile::alternating());
    assert_eq!(
        sketch(&wrapped.messages),
        [r#"User: "a", "[system]\ns\n[/system]""#, r#"Assistant: "b""#, r#"User: "c""#]
    );
    assert_eq!(losses.found().len(), 1);
}

#[test]
fn a_system_message_after_the_assistant_waits_for_the_next_user_message() {
    let talk = vec![user("a"), Message::text(Role::Assistant, "b"), system("s"), user("c")];
    assert_eq!(
        normal(talk, &after_user()),
        [r#"User: "a""#, r#"Assistant: "b""#, r#"User: "c""#, r#"System: "s""#]
    );
    let last = vec![user("a"), Message::text(Role::Assistant, "b"), system("s")];
    assert_eq!(
        normal(last, &after_user()),
        [r#"User: "a""#, r#"Assistant: "b""#, r#"User: "[system]\ns\n[/system]""#]
    );
}

#[test]
fn a_system_message_does_not_follow_a_message_that_goes() {
    let assistant = || Message::text(Role::Assistant, "b");
    // It was placed after the blank message and stood after the assistant when that was gone.
    let talk = vec![user("a"), assistant(), user(" "), system("s"), user("c")];
    assert_eq!(
        normal(talk, &after_user()),
        [r#"User: "a""#, r#"Assistant: "b""#, r#"User: "c""#, r#"System: "s""#]
    );
}

#[test]
fn a_system_message_does_not_cut_results_off_from_their_calls() {
    let talk = || {
        vec![
            user("a"),
            calls(&["1", "2"]),
            tool("1", "x"),
            system("s"),
            tool("2", "y"),
            Message::text(Role::Assistant, "b"),
        ]
    };
    assert_eq!(
        normal(talk(), &after_user()),
        [
            r#"User: "a""#,
            "Assistant: call 1, call 2",
            r#"User: result 1 "x", result 2 "y""#,
            r#"System: "s""#,
            r#"Assistant: "b""#
        ]
    );
    assert_eq!(
        normal(talk(), &Profile::alternating())[2],
        r#"User: result 1 "x", result 2 "y", "[system]\ns\n[/system]""#
    );
}

#[test]
fn results_of_one_turn_stand_together_in_the_order_of_the_calls() {
    let talk = vec![
        user("a"),
        calls(&["1", "2"]),
        tool("2", "y"),
        Message::new(Role::User, vec![Part::text("and"), result("1", "x")]),
    ];
    assert_eq!(
        normal(talk, &Profile::alternating()),
        [r#"User: "a""#, "Assistant: call 1, call 2", r#"User: result 1 "x", result 2 "y", "and""#]
    );
}

#[test]
fn tool_messages_in_a_row_become_one_user_message_and_the_user_joins_it() {
    let talk = || vec![user("a"), calls(&["1", "2"]), tool("1", "x"), tool("2", "y"), user("c")];
    assert_eq!(
        normal(talk(), &Profile::alternating())[2..],
        [r#"User: result 1 "x", result 2 "y", "c""#]
    );
    assert_eq!(
        normal(talk(), &Profile::free())[2..],
        [r#"Tool: result 1 "x", result 2 "y""#, r#"User: "c""#]
    );
}

#[test]
fn assistant_messages_in_a_row_are_one_turn() {
    let talk = vec![user("a"), calls(&["1"]), Message::text(Role::Assistant, "b"), tool("1", "x")];
    let merged = [r#"User: "a""#, r#"Assistant: call 1, "b""#, r#"User: result 1 "x""#];
    assert_eq!(normal(talk, &Profile::alternating()), merged);
}

#[test]
fn the_last_of_two_results_counts() {
    let talk = vec![user("a"), calls(&["1"]), tool("1", "x"), tool("1", "y")];
    assert_eq!(normal(talk, &Profile::alternating())[2], r#"User: result 1 "y""#);
}

#[test]
fn an_id_used_again_in_a_later_turn_answers_that_turn() {
    let talk = vec![user("a"), calls(&["1"]), tool("1", "x"), calls(&["1"]), tool("1", "y")];
    assert_eq!(
        normal(talk, &Profile::alternating())[1..],
        [
            "Assistant: call 1",
            r#"User: result 1 "x""#,
            "Assistant: call 1",
            r#"User: result 1 "y""#
        ]
    );
}

#[test]
fn a_missing_result_is_said_to_be_missing() {
    let mut turn = calls(&["1", "2", "3"]).at(1);
    turn.parts.insert(0, Part::text(""));
    let (talk, losses) =
        run(vec![user("a"), turn, tool("2", "y"), user("c")], &Profile::alternating());
    assert_eq!(
        sketch(&talk.messages)[1..],
        [
            "Assistant: call 1, call 2, call 3".to_owned(),
            format!(
                "User: failed 1 {0:?}, result 2 \"y\", failed 3 {0:?}, \"c\"",
                "No result was recorded for this call."
            )
        ]
    );
    assert_eq!(losses.found()[0].path, "messages[1]");
}

#[test]
fn a_turn_without_any_result_is_repaired_before_what_follows() {
    let talk = vec![user("a"), calls(&["1"]), user("c")];
    let repaired = normal(talk, &Profile::free());
    assert_eq!(repaired.len(), 4);
    assert!(repaired[2].starts_with("Tool: failed 1"));
}

#[test]
fn calls_of_the_last_turn_wait_for_their_results() {
    let talk = || vec![user("a"), calls(&["1"])];
    assert_eq!(normal(talk(), &Profile::alternating()), sketch(&talk()));
    let strict = Profile { prefill: false, ..Profile::alternating() };
    assert_eq!(normal(talk(), &strict), sketch(&talk()));
}

#[test]
fn a_result_that_answers_nothing_becomes_text() {
    let (talk, losses) = run(vec![user("a"), tool("9", "x").at(1)], &Profile::alternating());
    assert_eq!(sketch(&talk.messages), [r#"User: "a", "[result of tool call 9]", "x""#]);
    assert_eq!(losses.found()[0].path, "messages[1]");
    let mut talk = Conversation::new(Vec::new(), vec![tool("9", "x")]);
    let mut strict = Losses::under(LossPolicy::Refuse);
    assert!(normalise(&mut talk, &Profile::free(), Names::OpenAi, &mut strict).is_err());
}

#[test]
fn empty_texts_go_and_so_do_the_messages_they_leave_empty() {
    let talk = || vec![user("a"), Message::text(Role::Assistant, ""), user(" "), user("c")];
    assert_eq!(normal(talk(), &Profile::free()), [r#"User: "a""#, r#"User: " ""#, r#"User: "c""#]);
    assert_eq!(normal(talk(), &Profile::alternating()), [r#"User: "a", "c""#]);
}

#[test]
fn a_result_without_content_stays() {
    let talk = vec![user("a"), calls(&["1"]), tool("1", "")];
    assert_eq!(normal(talk, &Profile::alternating())[2], r#"User: result 1 """#);
}

#[test]
fn the_end_of_a_prefill_is_trimmed() {
    let talk = vec![user("a"), Message::text(Role::Assistant, "b \n")];
    assert_eq!(normal(talk, &Profile::alternating())[1], r#"Assistant: "b""#);
}

#[test]
fn merging_keeps_cache_marks_on_their_part() {
    let mut marked = user("a");
    marked.parts[0].cache = Some(CacheMark::OneHour);
    let (talk, _) = run(vec![marked, user("b")], &Profile::alternating());
    let marks: Vec<_> = talk.messages[0].parts.iter().map(|part| part.cache).collect();
    assert_eq!(marks, [Some(CacheMark::OneHour), None]);
}

#[test]
fn the_user_speaks_first() {
    let talk = vec![Message::text(Role::Assistant, "hi"), user("a")];
    assert_eq!(normal(talk, &Profile::alternating())[0], r#"User: "(conversation start)""#);
    assert_eq!(normal(vec![system("s")], &Profile::alternating()).len(), 1);
}

#[test]
fn a_prefill_is_refused_or_asked_for_in_words() {
    let profile = Profile { prefill: false, ..Profile::alternating() };
    let messages = vec![user("a"), Message::text(Role::Assistant, "b").at(1)];
    let mut talk = Conversation::new(Vec::new(), messages);
    let mut losses = Losses::under(LossPolicy::Default);
    let error = normalise(&mut talk.clone(), &profile, Names::OpenAi, &mut losses).unwrap_err();
    assert_eq!(error.param(), Some("messages[1]"));
    let mut losses = Losses::under(LossPolicy::Allow);
    normalise(&mut talk, &profile, Names::OpenAi, &mut losses).unwrap();
    assert_eq!(sketch(&talk.messages)[2], r#"User: "Continue.""#);
}

#[test]
fn the_assistant_stands_between_a_tool_and_the_user() {
    let profile = Profile { bridge: true, ..Profile::free() };
    let talk = vec![user("a"), calls(&["1"]), tool("1", "x"), user("c")];
    assert_eq!(normal(talk, &profile)[3..], [r#"Assistant: "OK.""#, r#"User: "c""#]);
}

/// What is said by turns is lent as it is, and no rule would change it: its copy stays the same under each of them.
#[test]
fn a_conversation_by_turns_is_not_copied() {
    let lent = |chat: &Chat| matches!(Conversation::of(chat).messages, Cow::Borrowed(_));
    let assistant = |text: &str| Message::text(Role::Assistant, text);
    let by_turns = [vec![user("a")], vec![user("a"), assistant("b\n"), user("c")]];
    for messages in by_turns {
        let mut chat = Chat::default();
        chat.system = vec![Part::text("s")];
        chat.messages = messages;
        assert!(lent(&chat));
        for base in [Profile::free(), Profile::alternating(), after_user()] {
            let profile = Profile { prefill: false, bridge: true, no_blank_text: true, ..base };
            let mut losses = Losses::under(LossPolicy::Refuse);
            let mut copy = Conversation::new(chat.system.clone(), chat.messages.clone());
            normalise(&mut copy, &profile, Names::OpenAi, &mut losses).unwrap();
            assert_eq!(copy, Conversation::of(&chat));
            assert!(losses.found().is_empty());
        }
    }
    let others = [
        vec![],
        vec![assistant("a")],
        vec![user("a"), assistant("b")],
        vec![user("a"), user("b"), user("c")],
        vec![user("a"), assistant(""), user("c")],
        vec![user("a"), assistant(" \n"), user("c")],
        vec![user("a"), Message::new(Role::Assistant, Vec::new()), user("c")],
        vec![user("a"), system("b"), user("c")],
        vec![user("a"), calls(&["1"]), tool("1", "x")],
        vec![tool("1", "x")],
    ];
    for messages in others {
        let mut chat = Chat::default();
        chat.messages = messages;
        assert!(!lent(&chat), "{:?}", sketch(&chat.messages));
    }
    let mut chat = Chat::default();
    chat.system = vec![Part::text(" ")];
    chat.messages = vec![user("a")];
    assert!(!lent(&chat));
}
