//! Reads a request's body within bounds of size and time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use ziggurat_core::{BoxError, Error, ErrorKind};

/// The most that is set aside on the word of a `content-length` alone.
const MOST_TRUSTED: u64 = 4 << 20;

pin_project! {
    /// Reads all of a body. One that comes in one piece is not copied, a longer one once.
    pub(super) struct ReadBody<B: HttpBody> {
        #[pin]
        body: B,
        // Runs while more is waited for: most bodies are there already, and it is never started.
        #[pin]
        clock: Option<Sleep>,
        most: u64,
        patience: Duration,
        // The first piece, as long as it is the only one.
        first: Option<B::Data>,
        whole: BytesMut,
        announced: u64,
    }
}

impl<B: HttpBody> ReadBody<B> {
    pub(super) fn new(body: B, most: u64, patience: Duration) -> Self {
        let announced = body.size_hint().lower();
        let whole = BytesMut::new();
        Self { body, clock: None, most, patience, first: None, whole, announced }
    }
}

impl<B> Future for ReadBody<B>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    type Output = Result<Bytes, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let mut this = self.project();
        if *this.announced > *this.most {
            return Poll::Ready(Err(too_large(*this.most)));
        }
        loop {
            let frame = match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if this.clock.is_none() {
                        this.clock.set(Some(tokio::time::sleep(*this.patience)));
                    }
                    if let Some(clock) = this.clock.as_mut().as_pin_mut() {
                        ready!(clock.poll(cx));
                    }
                    return Poll::Ready(Err(too_slow(*this.patience)));
                }
            };
            this.clock.set(None);
            let data = match frame {
                None => {
                    let whole = match this.first.take() {
                        Some(mut only) => only.copy_to_bytes(only.remaining()),
                        None => std::mem::take(this.whole).freeze(),
                    };
                    return Poll::Ready(Ok(whole));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.has_remaining() => data,
                    // An empty piece, or trailers.
                    _ => continue,
                },
            };
            let so_far = this.whole.len() + this.first.as_ref().map_or(0, Buf::remaining);
            if (so_far + data.remaining()) as u64 > *this.most {
                return Poll::Ready(Err(too_large(*this.most)));
            }
            if so_far == 0 {
                *this.first = Some(data);
                continue;
            }
            if let Some(mut first) = this.first.take() {
                let expected = usize::try_from((*this.announced).min(MOST_TRUSTED)).unwrap_or(0);
                this.whole.reserve(expected.max(first.remaining() + data.remaining()));
                append(this.whole, &mut first, *this.announced);
            }
            let mut data = data;
            append(this.whole, &mut data, *this.announced);
        }
    }
}

fn append(whole: &mut BytesMut, data: &mut impl Buf, announced: u64) {
    // Growing by doubling would copy what is there again and again; the announced length grows it once.
    if whole.capacity() - whole.len() < data.remaining() {
        let rest = announced.saturating_sub(whole.len() as u64);
        whole.reserve(usize::try_from(rest).unwrap_or(0).max(data.remaining()));
    }
    while data.has_remaining() {
        let chunk = data.chunk();
        let length = chunk.len();
        whole.extend_from_slice(chunk);
        data.advance(length);
    }
}

fn too_large(most: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the body is larger than {most} bytes"))
}

fn too_slow(patience: Duration) -> Error {
    Error::new(
        ErrorKind::RequestTimeout,
        format!("nothing more of the body came within {} s", patience.as_secs_f64()),
    )
}

/// A layer before us may have refused the body (admission); else the caller broke off.
fn broken(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => Error::invalid("the body broke off").with_source(other),
    }
}
