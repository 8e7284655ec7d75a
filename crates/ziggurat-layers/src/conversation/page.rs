//! Questions about what is kept.

use bytes::Bytes;
use ziggurat_core::{
    Call, Error, ErrorKind, RawJson, Reply, ReplyBody, ReplyHead, Stored, StoredAction, Str,
};

use super::layer::Settings;
use super::turns::{said, unreadable};
use super::{Owner, items};

/// OpenAI's page, and its bound.
const USUAL: usize = 20;
const MOST: usize = 100;

/// Answers a question about an answer that is kept.
pub(super) async fn answer(
    settings: &Settings,
    call: &Call,
    stored: &Stored,
) -> Result<Reply, Error> {
    let owner = Owner::of(call);
    let id = stored.id.clone();
    let query = Query(call.head().uri.query().unwrap_or_default());
    let body = match stored.action {
        StoredAction::Delete => {
            let gone = settings.store.delete(owner, id.clone()).await;
            if !gone.map_err(|error| unreadable(&error))? {
                return Err(unknown(&id));
            }
            let id = RawJson::string(&id);
            format!(r#"{{"id":{},"object":"response","deleted":true}}"#, id.get())
        }
        StoredAction::InputItems => {
            let mut turns =
                settings.store.thread(owner, id.clone()).await.map_err(|e| unreadable(&e))?;
            let Some(latest) = turns.first_mut() else { return Err(unknown(&id)) };
            // What it says itself is no input.
            let own = items::list(&latest.input.clone().into_text()).unwrap_or_default();
            let earlier = turns.iter().skip(1).rev().flat_map(said);
            let all = earlier.chain(own).enumerate().map(|(index, item)| {
                items::listed(&item, |kind| {
                    let prefix = match kind {
                        "message" => "msg",
                        "function_call" => "fc",
                        "reasoning" => "rs",
                        _ => "item",
                    };
                    let of = id.strip_prefix("resp_").unwrap_or(&id);
                    format!("{prefix}_{of}i{index:02x}")
                })
            });
            query.page(all.collect())?
        }
        action => {
            let turn = settings.store.get(owner, id.clone()).await.map_err(|e| unreadable(&e))?;
            let Some(turn) = turn else { return Err(unknown(&id)) };
            if action == StoredAction::Cancel {
                return Err(Error::invalid(
                    "Cannot cancel a synchronous response: it is complete.",
                )
                .with_param("response_id"));
            }
            if query.get("stream") == Some("true") {
                let message =
                    "only an answer that is written in the background can be streamed again";
                return Err(Error::invalid(message).with_param("stream"));
            }
            turn.response.get().to_owned()
        }
    };
    let mut head = ReplyHead::default();
    head.dialect = Some(settings.dialect);
    Ok(Reply::new(head, ReplyBody::Whole(Bytes::from(body))))
}

fn unknown(id: &Str) -> Error {
    Error::new(ErrorKind::NotFound, format!("Response with id '{id}' not found."))
        .with_param("response_id")
}

/// What the query says of a page.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Ids, numbers and words need no escapes.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A page of a list, the latest first unless the query says otherwise.
    fn page(&self, mut all: Vec<RawJson>) -> Result<String, Error> {
        let limit = match self.get("limit") {
            None => USUAL,
            Some(limit) => {
                limit.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
                    Error::invalid(format!("`limit` must be a number from 1 to {MOST}"))
                        .with_param("limit")
                })?
            }
        };
        match self.get("order") {
            None | Some("desc") => all.reverse(),
            Some("asc") => {}
            Some(_) => {
                return Err(Error::invalid("`order` must be `asc` or `desc`").with_param("order"));
            }
        }
        let mut rest = &all[..];
        if let Some(after) = self.get("after") {
            let place = all.iter().position(|item| items::id(item).as_deref() == Some(after));
            let place = place.ok_or_else(|| {
                Error::invalid("`after` names no item of this list").with_param("after")
            })?;
            rest = &all[place + 1..];
        }
        let page = &rest[..limit.min(rest.len())];
        let end = |item: Option<&RawJson>| {
            let id = item.and_then(items::id).map(|id| RawJson::string(&id));
            id.unwrap_or(RawJson::NULL)
        };
        Ok(format!(
            r#"{{"object":"list","data":{},"first_id":{},"last_id":{},"has_more":{}}}"#,
            items::join(page).get(),
            end(page.first()).get(),
            end(page.last()).get(),
            rest.len() > page.len(),
        ))
    }
}
