//! Items of OpenAI Responses, as far as they have to be told apart.

use serde_json::value::RawValue;
use ziggurat_core::{Members, RawJson, Str};

/// What refers to an item of an earlier answer.
const REFERENCE: &str = "item_reference";

/// The items of an `input`: a text is the one message that it stands for. `None` if it is neither text nor list; whoever reads it
/// refuses it.
pub(super) fn of_input(input: &Str) -> Option<Vec<RawJson>> {
    if input.starts_with('"') {
        let message = format!(r#"{{"type":"message","role":"user","content":{input}}}"#);
        return RawJson::parse(message.into()).ok().map(|message| vec![message]);
    }
    list(input)
}

/// The elements of a list.
pub(super) fn list(text: &Str) -> Option<Vec<RawJson>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(items.into_iter().map(|item| RawJson::from_raw(item, text)).collect())
}

/// A list of these.
pub(super) fn join<'a>(items: impl IntoIterator<Item = &'a RawJson>) -> RawJson {
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(item.get());
    }
    out.push(']');
    RawJson::parse(out.into()).unwrap_or(RawJson::NULL)
}

/// A text in a member.
pub(super) fn text(members: &Members, name: &str) -> Option<Str> {
    let value = RawJson::parse(members.get(name)?.clone()).ok()?;
    value.read::<String>().ok().map(Str::from)
}

/// The id of an item.
pub(super) fn id(item: &RawJson) -> Option<Str> {
    text(&Members::parse(item.clone().into_text()).ok()?, "id")
}

/// To which item one refers, if it does nothing else.
pub(super) fn reference(item: &RawJson) -> Option<Str> {
    // Most are long and refer to nothing.
    if item.get().len() > 512 || !item.get().contains("\"id\"") {
        return None;
    }
    let members = Members::parse(item.clone().into_text()).ok()?;
    let kind = text(&members, "type");
    // The type may be left out where nothing else is said.
    let refers = match &kind {
        Some(kind) => kind == REFERENCE,
        None => members.iter().count() == 1,
    };
    if refers { text(&members, "id") } else { None }
}

/// An item as it is listed: with an id and a type, and a message's text as a part.
pub(super) fn listed(item: &RawJson, otherwise: impl FnOnce(&str) -> String) -> RawJson {
    let Ok(members) = Members::parse(item.clone().into_text()) else { return item.clone() };
    let kind = text(&members, "type").unwrap_or_else(|| Str::from("message"));
    let role = text(&members, "role").unwrap_or_else(|| Str::from("user"));
    let mut out = Object::new();
    let id = text(&members, "id").unwrap_or_else(|| otherwise(&kind).into());
    out.member("id", RawJson::string(&id).get());
    out.member("type", RawJson::string(&kind).get());
    for (name, value) in members.iter() {
        match name.as_str() {
            "id" | "type" => {}
            "content" if kind == "message" && value.starts_with('"') => {
                let part = match role.as_str() {
                    "assistant" => "output_text",
                    _ => "input_text",
                };
                let annotations = if part == "output_text" { r#","annotations":[]"# } else { "" };
                out.member(
                    "content",
                    &format!(r#"[{{"type":"{part}","text":{value}{annotations}}}]"#),
                );
            }
            _ => out.member(name, value),
        }
    }
    if kind == "message" && members.get("status").is_none() {
        out.member("status", "\"completed\"");
    }
    out.end().unwrap_or_else(|| item.clone())
}

/// An object with these members in place of those of the same names.
pub(super) fn with(members: &Members, told: &[(&str, &str)]) -> RawJson {
    let mut out = Object::new();
    for (name, value) in members.iter() {
        let other = told.iter().find(|(told, _)| *told == name.as_str());
        out.member(name, other.map_or(value, |(_, value)| value));
    }
    for (name, value) in told.iter().filter(|(name, _)| members.get(name).is_none()) {
        out.member(name, value);
    }
    out.end().unwrap_or(RawJson::NULL)
}

/// An object that is being written, of members that are JSON already.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self(String::from("{"))
    }

    fn member(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(RawJson::string(name).get());
        self.0.push(':');
        self.0.push_str(value);
    }

    fn end(mut self) -> Option<RawJson> {
        self.0.push('}');
        RawJson::parse(self.0.into()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(Str::from(text)).unwrap()
    }

    #[test]
    fn a_text_is_one_message() {
        let items = of_input(&Str::from(r#""a \"b\"""#)).unwrap();
        assert_eq!(items[0].get(), r#"{"type":"message","role":"user","content":"a \"b\""}"#);
        assert_eq!(of_input(&Str::from("[]")), Some(Vec::new()));
        assert_eq!(of_input(&Str::from("7")), None);
        assert_eq!(join(&items).get().len(), items[0].get().len() + 2);
    }

    #[test]
    fn a_reference_is_one_by_its_type_or_since_it_says_nothing_else() {
        for (item, expected) in [
            (r#"{"type":"item_reference","id":"msg_1"}"#, Some("msg_1")),
            (r#"{"id":"msg_1"}"#, Some("msg_1")),
            (r#"{"type":"reasoning","id":"rs_1","summary":[]}"#, None),
            (r#"{"role":"user","content":"\"id\""}"#, None),
            (r#"{"id":7}"#, None),
            ("[]", None),
        ] {
            assert_eq!(reference(&raw(item)).as_deref(), expected, "{item}");
        }
    }

    #[test]
    fn what_is_listed_has_what_clients_look_for() {
        let made = |kind: &str| format!("{kind}_1");
        assert_eq!(
            listed(&raw(r#"{"role":"user","content":"Hi"}"#), made).get(),
            r#"{"id":"message_1","type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}],"status":"completed"}"#
        );
        let call = r#"{"id":"fc_1","type":"function_call","name":"f"}"#;
        assert_eq!(listed(&raw(call), made).get(), call);
    }
}
