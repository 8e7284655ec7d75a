//! The body of an HTTP message as the ends of a stack pass it on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame as HttpFrame, SizeHint};
use smallvec::SmallVec;

use crate::BoxError;

/// Slices that make a body when sent one after the other.
pub type Segments = SmallVec<[Bytes; 4]>;

/// The body of a request or an answer: nothing, some slices, or a stream.
///
/// ```
/// use bytes::Bytes;
/// use http_body::Body as _;
/// use ziggurat_core::{Body, Segments};
///
/// let segments: Segments = [&b"{\"n\":"[..], b"1}"].map(Bytes::from_static).into_iter().collect();
/// let body = Body::segments(segments);
/// assert_eq!(body.size_hint().exact(), Some(7));
/// assert_eq!(body.as_bytes().unwrap(), r#"{"n":1}"#);
/// ```
pub struct Body(Kind);

enum Kind {
    /// In reverse order: the next slice is the last.
    Segments(Segments),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Segments(Segments::new()))
    }

    /// Slices, in order.
    #[must_use]
    pub fn segments(mut segments: Segments) -> Self {
        segments.retain(|segment| !segment.is_empty());
        segments.reverse();
        Self(Kind::Segments(segments))
    }

    /// Any other body.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Kind::Stream(Box::pin(Boxing { body: Box::pin(body) })))
    }

    /// The bytes, if they are all here.
    #[must_use]
    pub fn as_bytes(&self) -> Option<Bytes> {
        match &self.0 {
            Kind::Segments(segments) => Some(match segments.as_slice() {
                [] => Bytes::new(),
                [one] => one.clone(),
                many => many.iter().rev().flatten().copied().collect(),
            }),
            Kind::Stream(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::segments(SmallVec::from_iter([bytes]))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = self.size_hint();
        f.debug_struct("Body").field("size", &hint.exact()).finish()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Segments(segments) => Poll::Ready(segments.pop().map(|s| Ok(HttpFrame::data(s)))),
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Segments(segments) => segments.is_empty(),
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Segments(segments) => {
                SizeHint::with_exact(segments.iter().map(|s| s.len() as u64).sum())
            }
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

struct Boxing<B> {
    body: Pin<Box<B>>,
}

impl<B> HttpBody for Boxing<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, BoxError>>> {
        self.body.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
