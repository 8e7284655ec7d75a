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
pub struct Body(Kind);

// Small, since bodies wait in queues: those of HTTP clients set room for dozens of requests aside, for each connection.
enum Kind {
    Empty,
    One(Bytes),
    /// In reverse order: the next slice is the last.
    Many(Box<Segments>),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Slices, in order.
    #[must_use]
    pub fn segments(mut segments: Segments) -> Self {
        segments.retain(|segment| !segment.is_empty());
        segments.reverse();
        match segments.len() {
            0 | 1 => Self(segments.pop().map_or(Kind::Empty, Kind::One)),
            _ => Self(Kind::Many(Box::new(segments))),
        }
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
            Kind::Empty => Some(Bytes::new()),
            Kind::One(bytes) => Some(bytes.clone()),
            Kind::Many(segments) => Some(segments.iter().rev().flatten().copied().collect()),
            Kind::Stream(_) => None,
        }
    }

    /// The next slice; for a stream there is none.
    fn next(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.0, Kind::Empty) {
            Kind::Empty => None,
            Kind::One(bytes) => Some(bytes),
            Kind::Many(mut segments) => {
                let next = segments.pop();
                if !segments.is_empty() {
                    self.0 = Kind::Many(segments);
                }
                next
            }
            stream @ Kind::Stream(_) => {
                self.0 = stream;
                None
            }
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::One(bytes) })
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
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
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
            _ => Poll::Ready(self.next().map(|slice| Ok(HttpFrame::data(slice)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::One(_) | Kind::Many(_) => false,
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::One(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Many(segments) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_small_enough_to_wait_in_queues() {
        assert!(size_of::<Body>() <= 40, "{}", size_of::<Body>());
    }

    #[test]
    fn slices_come_in_order_and_empty_ones_not_at_all() {
        let slices = ["a", "", "bc", "d"].map(|slice| Bytes::from_static(slice.as_bytes()));
        let mut body = Body::segments(slices.into_iter().collect());
        assert_eq!(body.as_bytes().unwrap(), "abcd");
        assert_eq!(body.size_hint().exact(), Some(4));
        let mut read = Vec::new();
        while let Some(slice) = body.next() {
            assert!(!slice.is_empty());
            read.push(slice);
        }
        assert_eq!(read, ["a", "bc", "d"]);
        assert!(body.is_end_stream());
        assert!(Body::segments(Segments::new()).is_end_stream());
        assert!(Body::from(Bytes::new()).is_end_stream());
    }

    #[test]
    fn text_is_a_body_of_known_length() {
        for body in [Body::from("{}"), Body::from("{}".to_owned())] {
            assert_eq!(body.size_hint().exact(), Some(2));
            assert_eq!(body.as_bytes().unwrap(), "{}");
        }
        assert!(Body::from("").is_end_stream());
    }
}
