//! How token endpoints are asked.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;
use ziggurat_core::{Body, BoxError};

/// The answer to come, read to its end.
pub type WebFuture = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;

/// The largest answer of a token endpoint, in bytes.
const MOST: usize = 1 << 20;

/// Sends requests to token endpoints: a transport of any kind.
#[derive(Clone)]
pub struct Web(Arc<dyn Fn(Request<Body>) -> WebFuture + Send + Sync>);

impl Web {
    /// Sends requests by this function.
    pub fn new(send: impl Fn(Request<Body>) -> WebFuture + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Sends requests through this service.
    pub fn over<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
                let (parts, body) = service.call(request).await.map_err(Into::into)?.into_parts();
                Ok(Response::from_parts(parts, read(body).await?))
            })
        })
    }

    pub(super) fn ask(&self, request: Request<Body>) -> WebFuture {
        (self.0)(request)
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

async fn read<B: HttpBody<Error: Into<BoxError>>>(body: B) -> Result<Bytes, BoxError> {
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(mut data) = frame.map_err(Into::into)?.into_data() else { continue };
        if whole.len() + data.remaining() > MOST {
            return Err("the answer is too large".into());
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            let length = chunk.len();
            whole.extend_from_slice(chunk);
            data.advance(length);
        }
    }
    Ok(whole.freeze())
}
