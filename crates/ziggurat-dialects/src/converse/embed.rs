//! Embeddings through `InvokeModel`: Converse itself has none. Bodies are those of the models' makers: Amazon Titan, one text a
//! call, and Cohere.

use bytes::Bytes;
use ziggurat_core::{
    Embed, Embeddings, EncodedRequest, Error, ErrorKind, Glance, Losses, RawJson, Str, Target,
    Truncate, Usage, Vector,
};

use super::{CONVERSE, error};
use crate::cohere::embed as cohere;
use crate::embedding::{self, Takes, narrow};
use crate::json::{Fields, Object};

/// Whose embeddings they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// The first version takes nothing but a text.
    Titan {
        first: bool,
    },
    Cohere,
}

impl Maker {
    /// By the model's id, an inference profile's or an ARN that holds one.
    fn of(model: &str) -> Option<Self> {
        if model.contains("titan-embed") {
            return Some(Self::Titan { first: model.contains("titan-embed-text-v1") });
        }
        model.contains("cohere.embed").then_some(Self::Cohere)
    }
}

/// How many inputs are taken at once.
pub(super) fn most_inputs(model: &str) -> Option<usize> {
    match Maker::of(model)? {
        Maker::Titan { .. } => Some(1),
        Maker::Cohere => Some(cohere::MOST_INPUTS),
    }
}

/// Writes a request. The model is in the path.
pub(super) fn encode(
    embed: &Embed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    match Maker::of(target.model) {
        Some(Maker::Cohere) => cohere::write(&mut object, embed, target, losses)?,
        Some(Maker::Titan { first }) => titan(&mut object, embed, first, target, losses)?,
        None => {
            let message = "only the embeddings of Amazon Titan and Cohere are known on Bedrock";
            return Err(Error::new(ErrorKind::Unsupported, message).with_param("model"));
        }
    }
    object.end();
    Ok(EncodedRequest::new(out.into()))
}

fn titan(
    object: &mut Object<'_>,
    embed: &Embed,
    first: bool,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let takes = Takes {
        dimensions: !first,
        other_forms: false,
        task: false,
        truncate: (Truncate::Refuse, false),
        user: false,
    };
    narrow(embed, CONVERSE, &takes, target, losses)?;
    let [input] = &embed.inputs[..] else {
        return Err(Error::invalid("the model takes one text a call").with_param("input"));
    };
    object.text("inputText", embedding::text(input, 0, target, losses)?);
    if let (Some(dimensions), false) = (embed.dimensions, first) {
        object.number("dimensions", dimensions);
    }
    Ok(())
}

/// Reads usage of an answer. Its vectors are not looked at.
pub(super) fn glance(body: &Bytes) -> Glance {
    let Ok(text) = text_of(body) else { return cohere::glance(body) };
    match titans(&text) {
        Some(fields) => {
            let mut glance = Glance::default();
            glance.usage = tokens(&fields);
            glance
        }
        None => cohere::glance(body),
    }
}

/// Reads an answer.
pub(super) fn decode_reply(body: &Bytes) -> Result<Embeddings, Error> {
    let text = text_of(body)?;
    let Some(mut fields) = titans(&text) else { return cohere::decode_reply(body) };
    let usage = tokens(&fields);
    let values = fields.take("embedding").unwrap_or_default();
    let vector = RawJson::parse(text.slice_ref(values)).ok().and_then(embedding::numbers);
    let vector: Vector =
        vector.ok_or_else(|| error::malformed("its `embedding` is no list of numbers"))?;
    let mut embeddings = Embeddings::new(vec![vector]);
    embeddings.usage = usage;
    Ok(embeddings)
}

fn text_of(body: &Bytes) -> Result<Str, Error> {
    Str::from_utf8(body.clone()).map_err(|_| error::malformed("it is not valid UTF-8"))
}

fn titans(text: &Str) -> Option<Fields<'_>> {
    let fields: Fields<'_> = serde_json::from_str(text).ok()?;
    fields.get("embedding").is_some().then_some(fields)
}

fn tokens(fields: &Fields<'_>) -> Option<Usage> {
    let mut usage = Usage::default();
    usage.input = Some(fields.get("inputTextTokenCount")?.parse().ok()?);
    Some(usage)
}
