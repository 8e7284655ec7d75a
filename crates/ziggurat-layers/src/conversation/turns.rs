//! What was said before, and what is kept of what is said now.

use std::sync::Arc;

use ziggurat_core::{Ask, Call, Error, ErrorKind, Members, Operation, RawJson, Str};

use super::layer::Settings;
use super::service::Asked;
use super::{Owner, StoreError, Turn, items};

/// How the answer to a call is written, before anything is put into the call.
pub(super) fn ask(settings: &Settings, call: &Call) -> Ask {
    let mut payload = call.payload().clone();
    payload.set("store", RawJson::of(&true).unwrap_or(RawJson::NULL));
    let mut ask = Ask::new(Operation::Chat, call.model().clone());
    ask.created = settings.ambient.unix_time().as_secs();
    ask.call_id = call.id().clone();
    ask.echo = settings.dialect.echo(&payload).map(|echo| with_store(&echo));
    ask
}

/// What is repeated of a request, and that its answer is kept.
fn with_store(echo: &RawJson) -> RawJson {
    let inside = echo.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let Some(inside) = inside else { return echo.clone() };
    let comma = if inside.trim().is_empty() { "" } else { "," };
    RawJson::parse(format!("{{{inside}{comma}\"store\":true}}").into())
        .unwrap_or_else(|_| echo.clone())
}

/// A text in JSON as it is.
pub(super) fn plain(json: &Str) -> Option<Str> {
    RawJson::parse(json.clone()).ok()?.read::<String>().ok().map(Str::from)
}

/// Puts into a call what it only refers to. Gives what is new in it; `None` if that cannot be read, so that it is refused below.
pub(super) async fn complete(
    settings: &Settings,
    owner: Owner,
    call: &mut Call,
    asked: &Asked,
) -> Result<Option<Vec<RawJson>>, Error> {
    let mut new = match call.payload().member("input").filter(|input| input != "null") {
        None => Vec::new(),
        Some(input) => match items::of_input(&input) {
            Some(items) => items,
            None => return Ok(None),
        },
    };
    let replaced = asked.refers && resolve(settings, owner, &mut new).await?;
    let history = match &asked.previous {
        None => None,
        Some(id) => history(settings, owner, id).await?,
    };
    if asked.keeps {
        // It is done here, and nothing that a provider without a memory would have to leave out.
        call.payload_mut().remove("store");
    }
    if let Some(history) = history {
        let all = items::join(history.iter().chain(&new));
        call.payload_mut().remove("previous_response_id");
        call.payload_mut().set("input", all);
    } else if replaced {
        call.payload_mut().set("input", items::join(&new));
    }
    Ok(Some(new))
}

/// Everything that was said up to an answer, if that is known here.
async fn history(
    settings: &Settings,
    owner: Owner,
    id: &Str,
) -> Result<Option<Vec<RawJson>>, Error> {
    // What is no text is refused below.
    let Some(id) = plain(id) else { return Ok(None) };
    let turns = settings.store.thread(owner, id).await.map_err(|error| unreadable(&error))?;
    let Some(first) = turns.last() else { return Ok(None) };
    if turns.first().is_some_and(|latest| is_unfinished(&latest.response)) {
        let message = "the previous answer is not complete, or never was";
        return Err(Error::invalid(message).with_param("previous_response_id"));
    }
    if let Some(missing) = &first.previous {
        return Err(unknown_previous(missing));
    }
    let mut history = Vec::new();
    let mut bytes = 0;
    for turn in turns.iter().rev() {
        for item in said(turn) {
            bytes += item.get().len();
            history.push(item);
        }
    }
    if bytes > settings.max_history {
        let most = settings.max_history;
        let message = format!("the conversation so far is larger than {most} bytes");
        return Err(Error::new(ErrorKind::ContextLength, message)
            .with_param("previous_response_id")
            .with_code("context_length_exceeded"));
    }
    Ok(Some(history))
}

/// Whether an answer is yet to be written.
pub(super) fn is_unfinished(response: &RawJson) -> bool {
    let members = Members::parse(response.clone().into_text()).ok();
    let status = members.and_then(|members| items::text(&members, "status"));
    matches!(status.as_deref(), Some("queued" | "in_progress"))
}

/// What was asked and answered.
pub(super) fn said(turn: &Turn) -> impl Iterator<Item = RawJson> + use<> {
    let input = items::list(&turn.input.clone().into_text()).unwrap_or_default();
    input.into_iter().chain(output(&turn.response))
}

/// The items of an answer.
fn output(response: &RawJson) -> Vec<RawJson> {
    let members = Members::parse(response.clone().into_text()).ok();
    members.and_then(|members| items::list(members.get("output")?)).unwrap_or_default()
}

/// Puts items in the place of what refers to them; whether there was any. What is not known here the provider may know.
async fn resolve(settings: &Settings, owner: Owner, new: &mut [RawJson]) -> Result<bool, Error> {
    let mut replaced = false;
    // Many are mostly of one answer.
    let mut last: Vec<RawJson> = Vec::new();
    for item in new {
        let Some(id) = items::reference(item) else { continue };
        let find = |known: &[RawJson]| {
            known.iter().find(|known| items::id(known).as_ref() == Some(&id)).cloned()
        };
        let mut found = find(&last);
        if found.is_none() {
            let turn = settings.store.with_item(owner, id.clone()).await;
            if let Some(turn) = turn.map_err(|error| unreadable(&error))? {
                last = said(&turn).collect();
                found = find(&last);
            }
        }
        if let Some(found) = found {
            *item = found;
            replaced = true;
        }
    }
    Ok(replaced)
}

pub(super) fn unreadable(error: &StoreError) -> Error {
    tracing::warn!(%error, "kept answers cannot be read");
    Error::new(ErrorKind::Overloaded, "what was said before cannot be read at the moment")
        .with_retry_after(std::time::Duration::from_secs(1))
}

fn unknown_previous(id: &Str) -> Error {
    Error::invalid(format!("Previous response with id '{id}' not found."))
        .with_param("previous_response_id")
        .with_code("previous_response_not_found")
}

/// Keeps one answer.
pub(super) struct Keeper {
    pub(super) settings: Arc<Settings>,
    owner: Owner,
    previous: Option<Str>,
    input: Vec<RawJson>,
}

impl Keeper {
    pub(super) fn new(
        settings: Arc<Settings>,
        owner: Owner,
        previous: Option<Str>,
        input: Vec<RawJson>,
    ) -> Self {
        Self { settings, owner, previous, input }
    }

    /// Keeps an answer that is yet to be written: whoever is told of it finds it.
    pub(super) async fn begin(&self, response: RawJson) -> Result<(), Error> {
        let Some(turn) = self.turn(response) else { return Ok(()) };
        let kept = self.settings.store.put(self.owner, turn).await;
        kept.map_err(|error| unreadable(&error))
    }

    /// Keeps the answer. That it cannot be is no reason not to deliver it.
    pub(super) async fn keep(self, response: RawJson) {
        let Some(turn) = self.turn(response) else { return };
        if let Err(error) = self.settings.store.put(self.owner, turn).await {
            tracing::warn!(%error, "an answer could not be kept: nobody can go on from it");
        }
    }

    fn turn(&self, response: RawJson) -> Option<Turn> {
        let members = Members::parse(response.clone().into_text()).ok()?;
        let id = items::text(&members, "id").filter(|id| !id.is_empty())?;
        members.get("output")?;
        let mut turn = Turn::new(id, items::join(&self.input), response);
        turn.items = said(&turn).filter_map(|item| items::id(&item)).collect();
        turn.previous = self.previous.clone();
        Some(turn)
    }
}
