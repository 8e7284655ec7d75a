//! Questions about what is kept.

use bytes::Bytes;
use ziggurat_core::{
    Call, Error, ErrorKind, Members, RawJson, Reply, ReplyBody, ReplyHead, Stored, StoredAction,
    Str,
};

use super::background::{marked, unfinished};
use super::jobs::Follow;
use super::layer::Settings;
use super::turns::{is_unfinished, said, unreadable};
use super::{Owner, Turn, items};

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
    let mut head = ReplyHead::default();
    head.dialect = Some(settings.dialect);
    let body = match stored.action {
        StoredAction::Delete => {
            settings.jobs.remove(owner, &id);
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
        StoredAction::Cancel => cancel(settings, owner, &id).await?.get().to_owned(),
        _ => {
            let job = settings.jobs.find(owner, &id);
            let streams = query.get("stream") == Some("true");
            match job {
                Some(job) if streams && job.streamed => {
                    let after = query.number("starting_after")?;
                    let frames = ReplyBody::Frames(Box::new(Follow::new(job, after)));
                    return Ok(Reply::new(head, frames));
                }
                _ if streams => {
                    kept(settings, owner, &id).await?;
                    let message = "only an answer that is written in the background, and was asked for as a stream, can be streamed again, and that for ten minutes";
                    return Err(Error::invalid(message).with_param("stream"));
                }
                Some(job) => job.response().get().to_owned(),
                None => told(&kept(settings, owner, &id).await?).get().to_owned(),
            }
        }
    };
    Ok(Reply::new(head, ReplyBody::Whole(Bytes::from(body))))
}

async fn kept(settings: &Settings, owner: Owner, id: &Str) -> Result<Turn, Error> {
    let turn = settings.store.get(owner, id.clone()).await.map_err(|e| unreadable(&e))?;
    turn.ok_or_else(|| unknown(id))
}

/// Ends an answer that is being written in the background. One that has ended stays as it is.
async fn cancel(settings: &Settings, owner: Owner, id: &Str) -> Result<RawJson, Error> {
    if let Some(job) = settings.jobs.find(owner, id) {
        let cancelled = marked(&job.response(), id, Some("cancelled"));
        if job.cancel(cancelled.clone()) {
            let mut turn = kept(settings, owner, id).await?;
            turn.response = cancelled.clone();
            let kept = settings.store.put(owner, turn).await;
            kept.map_err(|error| unreadable(&error))?;
            return Ok(cancelled);
        }
    }
    let turn = kept(settings, owner, id).await?;
    let members = Members::parse(turn.response.clone().into_text())?;
    if members.get("background").map(Str::as_str) != Some("true") {
        let message = "Cannot cancel a synchronous response: it is complete.";
        return Err(Error::invalid(message).with_param("response_id"));
    }
    Ok(told(&turn))
}

/// An answer that is kept, as it is told. One that nobody writes any more failed.
fn told(turn: &Turn) -> RawJson {
    if is_unfinished(&turn.response) { unfinished(&turn.response) } else { turn.response.clone() }
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

    fn number(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let read = |text: &str| {
            let message = format!("`{name}` must be a whole number");
            text.parse().map_err(|_| Error::invalid(message).with_param(name))
        };
        self.get(name).map(read).transpose()
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
