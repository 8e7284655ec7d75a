//! The fields of every message that a request may hold.

use super::proto::{
    Kind::{self, Any, Bool, Bytes, Enum, Int, Many, Map, Number, One, Struct, Text},
    Message,
};

const TEXTS: Kind = Many(&Text);

pub(super) static REQUEST: Message = Message(&[
    ("model", Text),
    ("contents", Many(&One(&CONTENT))),
    ("systemInstruction", One(&CONTENT)),
    ("tools", Many(&One(&TOOL))),
    ("toolConfig", One(&TOOL_CONFIG)),
    ("safetySettings", Many(&One(&SAFETY))),
    ("generationConfig", One(&GENERATION)),
    ("cachedContent", Text),
    ("serviceTier", Enum(&["flex", "standard", "priority"])),
    ("store", Bool),
    ("labels", Map(&Text)),
]);

pub(super) static COUNTING: Message =
    Message(&[("contents", Many(&One(&CONTENT))), ("generateContentRequest", One(&REQUEST))]);

pub(super) static EMBEDDING_ALL: Message = Message(&[("requests", Many(&One(&EMBEDDING)))]);

pub(super) static EMBEDDING: Message = Message(&[
    ("model", Text),
    ("content", One(&CONTENT)),
    (
        "taskType",
        Enum(&[
            "RETRIEVAL_QUERY",
            "RETRIEVAL_DOCUMENT",
            "SEMANTIC_SIMILARITY",
            "CLASSIFICATION",
            "CLUSTERING",
            "QUESTION_ANSWERING",
            "FACT_VERIFICATION",
            "CODE_RETRIEVAL_QUERY",
        ]),
    ),
    ("title", Text),
    ("outputDimensionality", Int),
]);

static CONTENT: Message = Message(&[("role", Text), ("parts", Many(&One(&PART)))]);

static PART: Message = Message(&[
    ("text", Text),
    ("inlineData", One(&BLOB)),
    ("fileData", One(&FILE)),
    ("functionCall", One(&CALL)),
    ("functionResponse", One(&RESPONSE)),
    ("executableCode", One(&CODE)),
    ("codeExecutionResult", One(&CODE_RESULT)),
    ("toolCall", Struct),
    ("toolResponse", Struct),
    ("thought", Bool),
    ("thoughtSignature", Bytes),
    ("videoMetadata", One(&VIDEO)),
    ("mediaResolution", Struct),
    ("partMetadata", Struct),
]);

/// The fields of which a part has one.
pub(super) const DATA: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

static BLOB: Message = Message(&[("mimeType", Text), ("data", Bytes), ("displayName", Text)]);
static FILE: Message = Message(&[("mimeType", Text), ("fileUri", Text), ("displayName", Text)]);
static CALL: Message = Message(&[("id", Text), ("name", Text), ("args", Struct)]);
static RESPONSE: Message = Message(&[
    ("id", Text),
    ("name", Text),
    ("response", Struct),
    ("parts", Many(&One(&RESPONSE_PART))),
    ("willContinue", Bool),
    ("scheduling", Enum(&["SILENT", "WHEN_IDLE", "INTERRUPT"])),
]);
static RESPONSE_PART: Message = Message(&[("inlineData", One(&BLOB)), ("fileData", One(&FILE))]);
static CODE: Message = Message(&[("language", Enum(&["PYTHON"])), ("code", Text), ("id", Text)]);
static CODE_RESULT: Message = Message(&[
    ("outcome", Enum(&["OUTCOME_OK", "OUTCOME_FAILED", "OUTCOME_DEADLINE_EXCEEDED"])),
    ("output", Text),
    ("id", Text),
]);
static VIDEO: Message = Message(&[("startOffset", Text), ("endOffset", Text), ("fps", Number)]);

static TOOL: Message = Message(&[
    ("functionDeclarations", Many(&One(&DECLARATION))),
    ("googleSearch", Struct),
    ("googleSearchRetrieval", Struct),
    ("codeExecution", Struct),
    ("urlContext", Struct),
    ("googleMaps", Struct),
    ("fileSearch", Struct),
    ("computerUse", Struct),
    ("mcpServers", Any),
]);

static DECLARATION: Message = Message(&[
    ("name", Text),
    ("description", Text),
    ("parameters", One(&SCHEMA)),
    ("parametersJsonSchema", Any),
    ("response", One(&SCHEMA)),
    ("responseJsonSchema", Any),
    ("behavior", Enum(&["BLOCKING", "NON_BLOCKING"])),
]);

static SCHEMA: Message = Message(&[
    ("type", Enum(&TYPES)),
    ("format", Text),
    ("title", Text),
    ("description", Text),
    ("nullable", Bool),
    ("default", Any),
    ("example", Any),
    ("enum", TEXTS),
    ("items", One(&SCHEMA)),
    ("minItems", Int),
    ("maxItems", Int),
    ("properties", Map(&One(&SCHEMA))),
    ("required", TEXTS),
    ("minProperties", Int),
    ("maxProperties", Int),
    ("minimum", Number),
    ("maximum", Number),
    ("minLength", Int),
    ("maxLength", Int),
    ("pattern", Text),
    ("anyOf", Many(&One(&SCHEMA))),
    ("propertyOrdering", TEXTS),
]);

const TYPES: [&str; 14] = [
    "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "string", "number",
    "integer", "boolean", "array", "object", "null",
];

static TOOL_CONFIG: Message = Message(&[
    ("functionCallingConfig", One(&CALLING)),
    ("retrievalConfig", Struct),
    ("includeServerSideToolInvocations", Bool),
]);
static CALLING: Message = Message(&[
    ("mode", Enum(&["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"])),
    ("allowedFunctionNames", TEXTS),
]);

static SAFETY: Message = Message(&[
    (
        "category",
        Enum(&[
            "HARM_CATEGORY_HARASSMENT",
            "HARM_CATEGORY_HATE_SPEECH",
            "HARM_CATEGORY_SEXUALLY_EXPLICIT",
            "HARM_CATEGORY_DANGEROUS_CONTENT",
            "HARM_CATEGORY_CIVIC_INTEGRITY",
        ]),
    ),
    (
        "threshold",
        Enum(&[
            "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
            "BLOCK_LOW_AND_ABOVE",
            "BLOCK_MEDIUM_AND_ABOVE",
            "BLOCK_ONLY_HIGH",
            "BLOCK_NONE",
            "OFF",
        ]),
    ),
]);

static GENERATION: Message = Message(&[
    ("temperature", Number),
    ("topP", Number),
    ("topK", Number),
    ("candidateCount", Int),
    ("maxOutputTokens", Int),
    ("stopSequences", TEXTS),
    ("presencePenalty", Number),
    ("frequencyPenalty", Number),
    ("seed", Int),
    ("responseLogprobs", Bool),
    ("logprobs", Int),
    ("responseMimeType", Text),
    ("responseSchema", One(&SCHEMA)),
    ("responseJsonSchema", Any),
    ("responseModalities", Many(&Enum(&["TEXT", "IMAGE", "AUDIO"]))),
    ("speechConfig", Struct),
    ("imageConfig", Struct),
    (
        "mediaResolution",
        Enum(&["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"]),
    ),
    ("thinkingConfig", One(&THINKING)),
    ("enableEnhancedCivicAnswers", Bool),
]);
static THINKING: Message = Message(&[
    ("includeThoughts", Bool),
    ("thinkingBudget", Int),
    (
        "thinkingLevel",
        Enum(&["MINIMAL", "LOW", "MEDIUM", "HIGH", "minimal", "low", "medium", "high"]),
    ),
]);
