//! Reranking through `InvokeModel`: Bedrock's runtime has no operation for it. Bodies are Cohere's, and Amazon's copy of them.

use ziggurat_core::{EncodedRequest, Error, ErrorKind, Losses, Rerank, Severity, Target};

use super::CONVERSE;
use crate::json::Object;
use crate::ranking;

/// Writes a request. The model is in the path.
pub(super) fn encode(
    rerank: &Rerank,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let cohere = target.model.contains("cohere.rerank");
    if !cohere && !target.model.contains("amazon.rerank") {
        let message = "only the rerankers of Amazon and Cohere are known on Bedrock";
        return Err(Error::new(ErrorKind::Unsupported, message).with_param("model"));
    }
    if rerank.return_documents == Some(true) {
        let reason = "the documents are not repeated there";
        losses.drop(Severity::Harmless, "return_documents", reason)?;
    }
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    ranking::write(CONVERSE, &mut object, rerank, losses)?;
    if cohere {
        object.number("api_version", 2_u8);
    }
    object.end();
    Ok(EncodedRequest::new(out.into()))
}
