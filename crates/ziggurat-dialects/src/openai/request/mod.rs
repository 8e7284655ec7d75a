//! Requests.

use ziggurat_core::{EncodedRequest, Error, ErrorKind, Losses, Members, Operation, Target, Typed};

/// Reads a request.
pub(super) fn decode(operation: Operation, _members: &Members) -> Result<Typed, Error> {
    Err(Error::new(ErrorKind::Unsupported, format!("requests for {operation} are not read yet")))
}

/// Writes a request.
pub(super) fn encode(
    request: &Typed,
    _target: &Target<'_>,
    _losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let operation = request.operation();
    let message = format!("requests for {operation} are not written yet");
    Err(Error::new(ErrorKind::Unsupported, message))
}
