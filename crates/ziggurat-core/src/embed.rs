//! Embeddings: texts in, vectors out.

use crate::{Extras, RawJson, Str, Usage};

/// What is to be turned into vectors, and how.
///
/// `None` means that the caller said nothing, so that the provider's own default holds.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embed {
    /// What is embedded, one vector each, in this order.
    pub inputs: Vec<EmbedInput>,
    /// Whether the caller has a form for one input only, whose answer holds no list.
    pub alone: bool,
    /// How many numbers a vector has.
    pub dimensions: Option<u32>,
    /// In which forms vectors are wanted; empty for the default, floats.
    pub forms: Vec<VectorForm>,
    /// What the vectors are for.
    pub task: Option<EmbedTask>,
    /// What becomes of a text that is too long.
    pub truncate: Option<Truncate>,
    /// The caller's own user, as an opaque name.
    pub user: Option<Str>,
    /// What the superset has no field for.
    pub extras: Extras,
}

/// Something to be embedded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EmbedInput {
    /// A text.
    Text(Str),
    /// A list of token ids of the model's own tokenizer.
    Tokens(RawJson),
    /// An image, as a `data:` URL.
    Image(Str),
    /// Anything else, as its dialect wrote it.
    Other(RawJson),
}

/// The form of a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VectorForm {
    /// A list of numbers.
    Float,
    /// Floats of 32 bits, little-endian, in base64 (OpenAI, `encoding_format`).
    Base64,
    /// Another, by its name (`int8`, `ubinary`; Cohere, `embedding_types`).
    Other(Str),
}

impl VectorForm {
    /// Its name: `float`, `base64`, `int8`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Float => "float",
            Self::Base64 => "base64",
            Self::Other(name) => name,
        }
    }

    /// The form of this name.
    #[must_use]
    pub fn of(name: Str) -> Self {
        match name.as_str() {
            "float" => Self::Float,
            "base64" => Self::Base64,
            _ => Self::Other(name),
        }
    }
}

/// What vectors are for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmbedTask {
    /// To look something up.
    Query,
    /// To be found.
    Document,
    /// To be compared.
    Similarity,
    /// To be classified.
    Classification,
    /// To be clustered.
    Clustering,
    /// To find an answer.
    QuestionAnswering,
    /// To find evidence.
    FactVerification,
    /// To find code.
    CodeQuery,
    /// Another, as its dialect calls it.
    Other(Str),
}

/// What becomes of a text that is too long for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Truncate {
    /// It is refused.
    Refuse,
    /// Its beginning is cut off.
    Start,
    /// Its end is cut off.
    End,
}

impl Embed {
    /// Texts to embed.
    pub fn texts<T: Into<Str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let inputs = texts.into_iter().map(|text| EmbedInput::Text(text.into())).collect();
        Self { inputs, ..Self::default() }
    }

    /// About how many tokens the inputs have: a quarter of the bytes of texts, as in
    /// [`estimated_tokens`](crate::estimated_tokens), and each number of a list of tokens.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        let tokens = |input: &EmbedInput| match input {
            EmbedInput::Text(text) => (text.len() as u64).div_ceil(4),
            EmbedInput::Tokens(list) => {
                list.get().bytes().filter(|byte| *byte == b',').count() as u64 + 1
            }
            // What an image takes depends on the model; a quarter of its base64 would be far too much.
            EmbedInput::Image(_) | EmbedInput::Other(_) => 256,
        };
        self.inputs.iter().map(tokens).sum()
    }

    /// The same question about some of the inputs.
    #[must_use]
    pub fn with_inputs(&self, inputs: &[EmbedInput]) -> Self {
        Self {
            inputs: inputs.to_vec(),
            alone: self.alone,
            dimensions: self.dimensions,
            forms: self.forms.clone(),
            task: self.task.clone(),
            truncate: self.truncate,
            user: self.user.clone(),
            extras: self.extras.clone(),
        }
    }
}

/// Vectors, in the order of the inputs.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// The answer's id, where the provider gives one.
    pub id: Str,
    /// The model that made them, by the provider's name; empty where it does not say.
    pub model: Str,
    /// One of each input. Where several forms were asked for, each holds all of them.
    pub vectors: Vec<Vec<Vector>>,
    /// The tokens that it took.
    pub usage: Option<Usage>,
    /// What the superset has no field for.
    pub extras: Extras,
}

/// A vector in one form.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Vector {
    /// A list of numbers, as JSON: as long as nobody wants another form they are not read.
    Floats(RawJson),
    /// Floats of 32 bits, little-endian, in base64.
    Base64(Str),
    /// Another form: its name, and the value.
    Other(Str, RawJson),
}

impl Vector {
    /// Its form.
    #[must_use]
    pub fn form(&self) -> VectorForm {
        match self {
            Self::Floats(_) => VectorForm::Float,
            Self::Base64(_) => VectorForm::Base64,
            Self::Other(name, _) => VectorForm::Other(name.clone()),
        }
    }
}

impl Embeddings {
    /// Vectors in one form each.
    #[must_use]
    pub fn new(vectors: Vec<Vector>) -> Self {
        let vectors = vectors.into_iter().map(|vector| vec![vector]).collect();
        Self { vectors, ..Self::default() }
    }

    /// Puts the answer about the inputs that follow behind this one.
    pub fn append(&mut self, next: Self) {
        self.vectors.extend(next.vectors);
        match (&mut self.usage, next.usage) {
            (Some(usage), Some(more)) => usage.add(&more),
            (usage @ None, more) => *usage = more,
            (Some(_), None) => {}
        }
    }
}
