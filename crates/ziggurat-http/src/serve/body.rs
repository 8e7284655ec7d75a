//! Bodies of requests as the service behind the accept loop gets them.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

/// How much of a body that nobody wanted is read, in bytes, and for how long.
const MAX_REST: usize = 64 << 20;
const REST_TIME: Duration = Duration::from_secs(2);

/// The body of a request, as it comes from the socket.
///
/// Who refuses a call by its head drops the body unread. What is still coming of it is then read and thrown away beside the
/// answer, within bounds: else the connection would have to be closed, under a client that is still writing, or that has just
/// chosen it for its next call.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// Whether the rest is to be read: over HTTP/1, where the next request stands behind it on the same line.
    drains: bool,
}

impl RequestBody {
    /// The request with its body guarded.
    pub(super) fn of(request: Request<Incoming>) -> Request<Self> {
        // Who asks before sending will not send after a refusal.
        let drains = request.version() <= Version::HTTP_11
            && !request.headers().contains_key(header::EXPECT);
        request.map(|incoming| Self { incoming: Some(incoming), drains })
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let next = Pin::new(incoming).poll_frame(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.incoming = None;
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let rest = self.incoming.take().filter(|rest| self.drains && !rest.is_end_stream());
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(rest), Ok(runtime)) = (rest, runtime) {
            runtime.spawn(tokio::time::timeout(REST_TIME, drain(rest)));
        }
    }
}

async fn drain(mut rest: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut rest).poll_frame(cx)).await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_REST {
            return;
        }
    }
}
