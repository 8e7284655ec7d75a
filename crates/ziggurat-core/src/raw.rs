//! A body that is passed through, and settles the call where it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame as HttpFrame, SizeHint};
use smallvec::SmallVec;

use crate::settle::{End, Guard};
use crate::{Body, BoxError, Error, ErrorKind, Origin};

/// Keeps the call open until its data has been read. Dropped before that, the guards cancel it.
pub(crate) struct RawBody {
    body: Body,
    guards: SmallVec<[Guard; 2]>,
}

impl RawBody {
    pub(crate) fn new(body: Body, guards: SmallVec<[Guard; 2]>) -> Self {
        let mut raw = Self { body, guards };
        if raw.body.is_end_stream() {
            raw.close(&End::Success);
        }
        raw
    }

    fn close(&mut self, end: &End) {
        for guard in self.guards.drain(..) {
            guard.close(end.clone());
        }
    }
}

impl HttpBody for RawBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                // Servers do not ask again once they know that this was all.
                if self.body.is_end_stream() {
                    self.close(&End::Success);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = broken(error);
                self.close(&End::Failure(error.clone()));
                Some(Err(error.into()))
            }
            None => {
                self.close(&End::Success);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn broken(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => Error::new(ErrorKind::BadUpstream, "the provider's answer broke off")
            .with_origin(Origin::Provider)
            .with_source(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Waker;

    use super::*;
    use crate::{Outcome, Reply, ReplyBody, ReplyHead, Settle, Settlement, Ticket};

    #[derive(Default)]
    struct Log(Mutex<Vec<End>>);

    impl Settle for Log {
        fn settle(&self, _: Ticket, outcome: &Outcome) {
            self.0.lock().unwrap().push(outcome.end.clone());
        }
    }

    impl Log {
        fn ends(&self) -> Vec<String> {
            let ends = self.0.lock().unwrap();
            ends.iter().map(|end| format!("{end:?}").chars().take(7).collect()).collect()
        }
    }

    /// Gives its pieces one by one, the last one first.
    struct Pieces(Vec<Result<&'static [u8], &'static str>>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<HttpFrame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop().map(|piece| match piece {
                Ok(bytes) => Ok(HttpFrame::data(Bytes::from_static(bytes))),
                Err(error) => Err(error.into()),
            }))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn taken(body: Body) -> (Arc<Log>, Body) {
        let log = Arc::new(Log::default());
        let guard = Settlement::open();
        guard.scope().register(log.clone(), Ticket::default()).unwrap();
        let mut reply = Reply::new(ReplyHead::default(), ReplyBody::Raw(body));
        reply.hold(guard);
        let ReplyBody::Raw(body) = reply.take_body() else { panic!("it was raw") };
        (log, body)
    }

    fn read(body: &mut Body) -> Option<Result<HttpFrame<Bytes>, BoxError>> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => next,
            Poll::Pending => panic!("it is always ready"),
        }
    }

    #[test]
    fn a_raw_body_settles_with_its_last_data() {
        let (log, mut body) = taken(Body::stream(Pieces(vec![Ok(b"b"), Ok(b"a")])));
        read(&mut body).unwrap().unwrap();
        assert!(log.ends().is_empty(), "taking it, or reading half of it, is no success");
        read(&mut body).unwrap().unwrap();
        assert_eq!(log.ends(), ["Success"]);
        drop(body);
        assert_eq!(log.ends().len(), 1);
    }

    #[test]
    fn a_raw_body_that_breaks_is_a_failure() {
        let (log, mut body) = taken(Body::stream(Pieces(vec![Err("reset"), Ok(b"a")])));
        read(&mut body).unwrap().unwrap();
        let error = read(&mut body).unwrap().unwrap_err();
        assert_eq!(Error::from(error).kind(), ErrorKind::BadUpstream);
        assert_eq!(log.ends(), ["Failure"]);
    }

    #[test]
    fn a_raw_body_that_is_dropped_half_way_was_cancelled() {
        let (log, body) = taken(Body::stream(Pieces(vec![Ok(b"a")])));
        drop(body);
        assert_eq!(log.ends(), ["Cancell"]);
    }

    #[test]
    fn an_empty_raw_body_has_been_read() {
        let (log, body) = taken(Body::empty());
        assert_eq!(log.ends(), ["Success"]);
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}
