//! What embeddings have in common in all dialects: forms of vectors, and what is lost of a request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ziggurat_core::{
    Dialect, Embed, EmbedInput, EmbedTask, Error, ErrorKind, Losses, Origin, RawJson, Severity,
    Target, Truncate, Vector, VectorForm,
};

use crate::fields::{self, Names};

/// A vector as a list of numbers.
pub(crate) fn floats(vector: &[Vector]) -> Result<Cow<'_, str>, Error> {
    let encoded = match vector.iter().find(|vector| !matches!(vector, Vector::Base64(_))) {
        Some(Vector::Floats(numbers) | Vector::Other(_, numbers)) => {
            return Ok(Cow::Borrowed(numbers.get()));
        }
        _ => vector.iter().find_map(|vector| match vector {
            Vector::Base64(text) => Some(text),
            _ => None,
        }),
    };
    let bytes = encoded.and_then(|text| STANDARD.decode(text.as_bytes()).ok());
    let bytes = bytes.filter(|bytes| bytes.len() % 4 == 0).ok_or_else(no_vector)?;
    let mut out = String::with_capacity(bytes.len() * 3);
    out.push('[');
    for (index, number) in bytes.chunks_exact(4).enumerate() {
        let number = f32::from_le_bytes(number.try_into().unwrap_or_default());
        if !number.is_finite() {
            return Err(no_vector());
        }
        let comma = if index == 0 { "" } else { "," };
        out.push_str(&format!("{comma}{number}"));
    }
    out.push(']');
    Ok(Cow::Owned(out))
}

/// A vector as floats of 32 bits, little-endian, in base64.
pub(crate) fn base64(vector: &[Vector]) -> Result<Cow<'_, str>, Error> {
    let text = vector.iter().find_map(|vector| match vector {
        Vector::Base64(text) => Some(text.as_str()),
        _ => None,
    });
    if let Some(text) = text {
        return Ok(Cow::Borrowed(text));
    }
    let numbers = floats(vector)?;
    let numbers: Vec<f32> = serde_json::from_str(&numbers).map_err(|_| no_vector())?;
    let mut bytes = Vec::with_capacity(numbers.len() * 4);
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(Cow::Owned(STANDARD.encode(bytes)))
}

fn no_vector() -> Error {
    let message = "the provider's answer holds a vector that cannot be read";
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// What the caller calls the fields of the superset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) inputs: &'static str,
    dimensions: &'static str,
    forms: &'static str,
    task: &'static str,
    truncate: &'static str,
    user: &'static str,
}

impl Words {
    pub(crate) fn of(source: Option<Dialect>) -> Self {
        let (inputs, dimensions, forms, task, truncate) = match Names::of(source) {
            Names::Gemini => {
                ("requests", "outputDimensionality", "forms", "taskType", "autoTruncate")
            }
            Names::Cohere => {
                ("texts", "output_dimension", "embedding_types", "input_type", "truncate")
            }
            Names::Ollama => ("input", "dimensions", "forms", "task", "truncate"),
            Names::OpenAi => ("input", "dimensions", "encoding_format", "input_type", "truncate"),
            _ => ("inputs", "dimensions", "forms", "task", "truncate"),
        };
        Self { inputs, dimensions, forms, task, truncate, user: "user" }
    }

    /// An input, where it stands in the caller's list.
    pub(crate) fn input(self, source: Option<Dialect>, index: usize) -> Cow<'static, str> {
        Names::of(source).item(self.inputs, index)
    }
}

/// What a target takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    pub(crate) dimensions: bool,
    pub(crate) other_forms: bool,
    pub(crate) task: bool,
    /// What becomes of a long text where nothing is said, and whether something else can be said.
    pub(crate) truncate: (Truncate, bool),
    pub(crate) user: bool,
}

/// Loses what the target does not take; the texts of the inputs, where it takes nothing else.
///
/// # Errors
///
/// When that would change what was asked for.
pub(crate) fn narrow(
    embed: &Embed,
    dialect: Dialect,
    takes: &Takes,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let words = Words::of(target.source);
    if embed.dimensions.is_some() && !takes.dimensions {
        let reason = "the model's vectors have one length";
        losses.drop(Severity::Doubtful, words.dimensions, reason)?;
    }
    // Floats can be written as base64 here, and read from it.
    let strange = embed.forms.iter().filter(|form| matches!(form, VectorForm::Other(_)));
    for form in strange.filter(|_| !takes.other_forms) {
        let path = format!("{}.{}", words.forms, form.name());
        losses.drop(Severity::Doubtful, path, "the target's vectors are floats")?;
    }
    if embed.task.is_some() && !takes.task {
        let reason = "the target's vectors are the same for every purpose";
        losses.drop(Severity::Harmless, words.task, reason)?;
    }
    if let Some(wanted) = embed.truncate
        && !takes.truncate.1
        && wanted != takes.truncate.0
    {
        losses.drop(Severity::Harmless, words.truncate, "the target does it its own way")?;
    }
    if embed.user.is_some() && !takes.user {
        losses.drop(Severity::Harmless, words.user, "the target has no such field")?;
    }
    if embed.extras.dialect != Some(dialect) {
        for (name, _) in &embed.extras.members {
            if !losses.passes(name) {
                fields::lose(embed.extras.dialect, name.to_string(), losses)?;
            }
        }
    }
    Ok(())
}

/// The text of an input, for targets that take nothing else.
///
/// # Errors
///
/// When it is no text.
pub(crate) fn text<'a>(
    input: &'a EmbedInput,
    index: usize,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<&'a str, Error> {
    let what = match input {
        EmbedInput::Text(text) => return Ok(text),
        EmbedInput::Tokens(_) => "the target takes texts, not the tokens of another model",
        _ => "the target takes texts only",
    };
    let path = Words::of(target.source).input(target.source, index);
    losses.drop(Severity::Grave, path, what)?;
    Ok("")
}

/// Cohere's word for a task, which others use, too (`input_type`).
pub(crate) fn input_type(task: &EmbedTask) -> &str {
    match task {
        EmbedTask::Query | EmbedTask::QuestionAnswering | EmbedTask::CodeQuery => "search_query",
        EmbedTask::Document | EmbedTask::FactVerification => "search_document",
        EmbedTask::Classification => "classification",
        EmbedTask::Clustering | EmbedTask::Similarity => "clustering",
        EmbedTask::Other(word) => match known(word) {
            Some(EmbedTask::Query) => "search_query",
            Some(_) => "search_document",
            None => word,
        },
        _ => "search_document",
    }
}

/// What others call it (NVIDIA, Voyage: `query`, `passage`, `document`).
pub(crate) fn known(word: &str) -> Option<EmbedTask> {
    match word {
        "query" | "search_query" => Some(EmbedTask::Query),
        "passage" | "document" | "search_document" => Some(EmbedTask::Document),
        _ => None,
    }
}

/// A list of numbers as a vector.
pub(crate) fn numbers(raw: RawJson) -> Option<Vector> {
    raw.get().starts_with('[').then_some(Vector::Floats(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &'static str) -> Vec<Vector> {
        vec![Vector::Floats(RawJson::parse(text.into()).unwrap())]
    }

    #[test]
    fn floats_are_the_same_in_base64_and_back() {
        let vector = list("[0.1,-2.5,3e-7,0,123456.79]");
        let text = base64(&vector).unwrap().into_owned();
        assert_eq!(text.len(), 28);
        let back = [Vector::Base64(text.into())];
        let numbers: Vec<f32> = serde_json::from_str(&floats(&back).unwrap()).unwrap();
        assert_eq!(numbers, [0.1, -2.5, 3e-7, 0.0, 123_456.79]);
        // Whoever wants what there is gets it as it is.
        assert_eq!(floats(&vector).unwrap(), "[0.1,-2.5,3e-7,0,123456.79]");
    }

    #[test]
    fn what_is_no_vector_is_the_providers_fault() {
        let bad = |text: &'static str| floats(&[Vector::Base64(text.into())]).unwrap_err().kind();
        assert_eq!(bad("???"), ErrorKind::BadUpstream);
        assert_eq!(bad("AAA="), ErrorKind::BadUpstream);
        // Not a number.
        assert_eq!(bad("AADAfw=="), ErrorKind::BadUpstream);
        assert!(floats(&[]).is_err());
        assert!(base64(&list(r#"["a"]"#)).is_err());
    }
}
