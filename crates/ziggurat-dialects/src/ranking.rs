//! Reranking, which most providers copied from Cohere: requests alike, answers nearly so.
//!
//! | | Cohere | Jina, Together, vLLM | Voyage |
//! | --- | --- | --- | --- |
//! | how many | `top_n` | `top_n` | `top_k` |
//! | the answer | `results` | `results` | `data` |
//! | what it took | `meta.billed_units.search_units` | `usage.total_tokens` | `usage.total_tokens` |

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Ask, Dialect, EncodedRequest, Error, Glance, Losses, Members, Ranked, Ranking, RawJson, Rerank,
    Severity, Str, Target, Usage,
};

use crate::fields;
use crate::json::{self, Array, At, Fields, Object};
use crate::plain_error::malformed;

/// How many documents are taken.
const MOST: usize = 100_000;

/// Reads a request.
pub(crate) fn decode(dialect: Dialect, members: &Members) -> Result<Rerank, Error> {
    let mut rerank = Rerank::default();
    let mut query = false;
    for (name, value) in members.iter().filter(|(_, value)| *value != "null") {
        let at = At::root(name);
        match name.as_str() {
            "model" => {}
            "query" => {
                rerank.query = json::read_text(value, value, at)?;
                query = true;
            }
            "documents" => {
                let list: Vec<&RawValue> = json::read(value, at, "a list of documents")?;
                if list.len() > MOST {
                    return Err(at.error(format_args!("at most {MOST} documents are taken")));
                }
                for (index, raw) in list.into_iter().enumerate() {
                    if !raw.get().starts_with(['"', '{']) {
                        return Err(at.index(index).error("a string or an object is expected"));
                    }
                    rerank.documents.push(RawJson::from_raw(raw, value));
                }
            }
            "top_n" | "top_k" => rerank.top = Some(json::read(value, at, "a whole number")?),
            "return_documents" => {
                rerank.return_documents = Some(json::read(value, at, "true or false")?);
            }
            _ => {
                let value = RawJson::parse(value.clone())
                    .map_err(|_| at.error("this is not valid JSON"))?;
                rerank.extras.push(name.clone(), value);
            }
        }
    }
    if !rerank.extras.is_empty() {
        rerank.extras.dialect = Some(dialect);
    }
    if !query {
        return Err(At::root("query").error("this field is required"));
    }
    if rerank.documents.is_empty() {
        return Err(At::root("documents").error("at least one document is required"));
    }
    Ok(rerank)
}

/// Writes a request with its model.
pub(crate) fn encode(
    dialect: Dialect,
    rerank: &Rerank,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    write(dialect, &mut object, rerank, losses)?;
    // Cohere's second version repeats no documents.
    if let Some(wanted) = rerank.return_documents {
        match dialect == crate::COHERE {
            false => object.flag("return_documents", wanted),
            true if wanted => losses.drop(
                Severity::Harmless,
                "return_documents",
                "the documents are not repeated there",
            )?,
            true => {}
        }
    }
    object.end();
    Ok(EncodedRequest::new(out.into()))
}

/// Writes what all take.
pub(crate) fn write(
    dialect: Dialect,
    object: &mut Object<'_>,
    rerank: &Rerank,
    losses: &mut Losses,
) -> Result<(), Error> {
    object.text("query", &rerank.query);
    let mut list = Array::begin(object.member("documents"));
    for document in &rerank.documents {
        // Older clients wrap their texts, which not everybody takes.
        match text_of(document) {
            Some(text) => json::string(list.item(), &text),
            None => list.item().extend_from_slice(document.get().as_bytes()),
        }
    }
    list.end();
    if let Some(top) = rerank.top {
        object.number("top_n", top);
    }
    if rerank.extras.dialect == Some(dialect) {
        object.extras(&rerank.extras);
    } else {
        for (name, _) in &rerank.extras.members {
            if !losses.passes(name) {
                fields::lose(rerank.extras.dialect, name.to_string(), losses)?;
            }
        }
    }
    Ok(())
}

/// The text of a document that is one, or an object with nothing else.
fn text_of(document: &RawJson) -> Option<Str> {
    let body = document.clone().into_text();
    if let Some(text) = json::shared_text(document.get(), &body) {
        return Some(text);
    }
    let fields = document.read::<Fields<'_>>().ok()?;
    let alone = fields.iter().count() == 1;
    fields.get("text").filter(|_| alone).and_then(|raw| json::shared_text(raw, &body))
}

/// Reads what was used, and whether it is an answer at all.
pub(crate) fn glance(body: &Bytes) -> Glance {
    let mut glance = Glance::default();
    match look(body) {
        Ok(usage) => glance.usage = usage,
        Err(error) => glance.error = Some(error),
    }
    glance
}

fn look(body: &Bytes) -> Result<Option<Usage>, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))?;
    let fields: Fields<'_> =
        serde_json::from_str(&text).map_err(|_| malformed("it is no JSON object"))?;
    if fields.get("results").or_else(|| fields.get("data")).is_none() {
        return Err(malformed("it holds no `results`"));
    }
    Ok(usage(&fields))
}

fn usage(fields: &Fields<'_>) -> Option<Usage> {
    let object = |raw: &str, name: &str| -> Option<u64> {
        let counts: Fields<'_> = serde_json::from_str(raw).ok()?;
        // Cohere writes whole numbers as floats.
        counts.get(name)?.split('.').next()?.parse().ok()
    };
    let mut usage = Usage::default();
    let meta: Option<Fields<'_>> =
        fields.get("meta").and_then(|meta| serde_json::from_str(meta).ok());
    if let Some(billed) = meta.as_ref().and_then(|meta| meta.get("billed_units")) {
        usage.units.queries = object(billed, "search_units").unwrap_or(0);
    }
    if let Some(tokens) = fields.get("usage") {
        let counted = object(tokens, "prompt_tokens").or_else(|| object(tokens, "total_tokens"));
        usage.input = counted;
    }
    (usage != Usage::default()).then_some(usage)
}

/// Reads an answer.
pub(crate) fn decode_reply(body: &Bytes) -> Result<Ranking, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))?;
    let fields: Fields<'_> =
        serde_json::from_str(&text).map_err(|_| malformed("it is no JSON object"))?;
    let list = fields.get("results").or_else(|| fields.get("data")).unwrap_or_default();
    let unreadable = || malformed("its `results` cannot be read");
    let list: Vec<Fields<'_>> = serde_json::from_str(list).map_err(|_| unreadable())?;
    let one = |item: &Fields<'_>| {
        let share = |raw: &str| RawJson::parse(text.slice_ref(raw)).ok();
        let index = item.get("index")?.parse().ok()?;
        let score = item.get("relevance_score").or_else(|| item.get("score"))?;
        // Only a number is a score.
        score.parse::<f64>().ok()?;
        Some(Ranked::new(index, share(score)?, item.get("document").and_then(share)))
    };
    let results: Option<Vec<Ranked>> = list.iter().map(one).collect();
    let mut ranking = Ranking::new(results.ok_or_else(unreadable)?);
    let member = |name| fields.get(name).and_then(|raw| json::shared_text(raw, &text));
    ranking.id = member("id").unwrap_or_default();
    ranking.model = member("model").unwrap_or_default();
    ranking.usage = usage(&fields);
    Ok(ranking)
}

/// Writes an answer. Tokens and units are both told: clients of either kind read theirs.
pub(crate) fn encode_reply(ranking: &Ranking, ask: &Ask) -> Bytes {
    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    object.text("id", if ranking.id.is_empty() { &ask.call_id } else { &ranking.id });
    let mut list = Array::begin(object.member("results"));
    for ranked in &ranking.results {
        let mut item = list.object();
        item.number("index", ranked.index);
        item.raw("relevance_score", ranked.score.get());
        if let Some(document) = &ranked.document {
            // An object, as Cohere's first version and Jina have it.
            match text_of(document) {
                Some(text) => {
                    let mut inner = Object::begin(item.member("document"));
                    inner.text("text", &text);
                    inner.end();
                }
                None => item.raw("document", document.get()),
            }
        }
        item.end();
    }
    list.end();
    let usage = ranking.usage.unwrap_or_default();
    let mut meta = Object::begin(object.member("meta"));
    let mut billed = Object::begin(meta.member("billed_units"));
    if usage.units.queries > 0 || usage.input.is_none() {
        billed.number("search_units", usage.units.queries.max(1));
    }
    if let Some(tokens) = usage.input {
        billed.number("total_tokens", tokens);
    }
    billed.end();
    meta.end();
    if let Some(tokens) = usage.input {
        let mut told = Object::begin(object.member("usage"));
        told.number("total_tokens", tokens);
        told.end();
    }
    object.end();
    out.into()
}
