//! Admission: bounds how many calls, and how many bytes of their bodies, are in the process at once.
//!
//! It stands over http, before a body is read: a call that does not fit is refused at once with a 503 and `Retry-After`, so that
//! memory stays flat whatever comes. A `content-length` is taken from the budget of bytes up front; a body that does not announce
//! its length is charged as it comes. What was taken is given back when the answer has been read, or is dropped; where the front
//! door [drains](crate::Disconnect) a call, when that has ended.

mod budget;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use ziggurat_core::{BoxError, Error, ErrorKind};

use crate::front::{ResponseBody, refuse};
use budget::Budget;
pub(crate) use budget::Permit;

/// Makes an [`Admission`].
///
/// ```
/// use std::time::Duration;
/// use ziggurat_http::AdmissionLayer;
///
/// let layer = AdmissionLayer::new().calls(2_000).bytes(512 << 20).retry_after(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    calls: u64,
    bytes: u64,
    retry_after: Duration,
    in_flight: Option<InFlight>,
}

/// What is in the process now, for admissions that count together: one that takes another's place (with other bounds, perhaps)
/// goes on with its count. Clones are the same.
///
/// ```
/// use ziggurat_http::{AdmissionLayer, InFlight};
///
/// let in_flight = InFlight::default();
/// let layer = AdmissionLayer::new().calls(100).sharing(&in_flight);
/// assert_eq!(in_flight.calls_and_bytes(), (0, 0));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct InFlight(Arc<Budget>);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(Budget::new(u64::MAX, u64::MAX)))
    }
}

impl InFlight {
    /// Calls, and bytes of their bodies.
    #[must_use]
    pub fn calls_and_bytes(&self) -> (u64, u64) {
        self.0.taken()
    }
}

impl Default for AdmissionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl AdmissionLayer {
    /// Up to 10,000 calls and 1 GiB of bodies at once; `Retry-After` of a second.
    #[must_use]
    pub fn new() -> Self {
        Self { calls: 10_000, bytes: 1 << 30, retry_after: Duration::from_secs(1), in_flight: None }
    }

    /// The most calls at once.
    #[must_use]
    pub fn calls(mut self, calls: u64) -> Self {
        self.calls = calls;
        self
    }

    /// The most bytes of bodies at once.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// When those who were refused should come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }

    /// Counts together with all that share this. The bounds of the layer that is applied last hold for all of them. By default
    /// every application of the layer counts for itself.
    #[must_use]
    pub fn sharing(mut self, in_flight: &InFlight) -> Self {
        self.in_flight = Some(in_flight.clone());
        self
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        let InFlight(budget) = self.in_flight.clone().unwrap_or_default();
        budget.bound(self.calls, self.bytes);
        Admission { inner, budget, retry_after: self.retry_after }
    }
}

/// Admits what fits. Clones share one budget.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    budget: Arc<Budget>,
    retry_after: Duration,
}

impl<S> Admission<S> {
    /// Calls and bytes that are in the process now.
    #[must_use]
    pub fn in_flight(&self) -> (u64, u64) {
        self.budget.taken()
    }
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<AdmittedBody<B>>, Response = Response<ResponseBody>, Error = Infallible>,
    B: HttpBody,
{
    type Response = Response<AdmittedBody<ResponseBody>>;
    type Error = Infallible;
    type Future = AdmissionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Being full is an answer, not back-pressure for everybody.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let announced = request.body().size_hint().lower();
        let Some(permit) = Budget::admit(&self.budget, announced) else {
            let error = full(self.retry_after);
            let response = refuse(request.uri(), request.headers(), &error);
            return AdmissionFuture::Refused { response: Some(response) };
        };
        let permit = Arc::new(permit);
        let retry_after = self.retry_after;
        let mut request = request.map(|body| AdmittedBody {
            body,
            charge: Some(Charge { announced, retry_after }),
            permit: Arc::clone(&permit),
        });
        // For whoever goes on with the call when its client has left.
        request.extensions_mut().insert(Arc::clone(&permit));
        AdmissionFuture::Admitted { future: self.inner.call(request), permit: Some(permit) }
    }
}

fn full(retry_after: Duration) -> Error {
    Error::new(ErrorKind::Overloaded, "the gateway is full, more does not fit for the moment")
        .with_status(http::StatusCode::SERVICE_UNAVAILABLE)
        .with_code("gateway_full")
        .with_retry_after(retry_after)
}

pin_project! {
    /// The answer to come.
    #[project = AdmissionFutureProjection]
    pub enum AdmissionFuture<F> {
        // It fitted.
        Admitted {
            #[pin]
            future: F,
            permit: Option<Arc<Permit>>,
        },
        // It did not.
        Refused { response: Option<Response<ResponseBody>> },
    }
}

impl<F> Future for AdmissionFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, Infallible>>,
{
    type Output = Result<Response<AdmittedBody<ResponseBody>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, permit) = match self.project() {
            AdmissionFutureProjection::Admitted { future, permit } => {
                (ready!(future.poll(cx))?, permit.take().unwrap_or_default())
            }
            AdmissionFutureProjection::Refused { response } => {
                (response.take().unwrap_or_default(), Arc::default())
            }
        };
        Poll::Ready(Ok(response.map(|body| AdmittedBody { body, charge: None, permit })))
    }
}

pin_project! {
    /// A body, of a request or an answer, that holds its place in the budget until it is dropped.
    pub struct AdmittedBody<B> {
        #[pin]
        body: B,
        charge: Option<Charge>,
        permit: Arc<Permit>,
    }
}

/// Charges a request's body for what it did not announce.
struct Charge {
    announced: u64,
    retry_after: Duration,
}

impl<B> HttpBody for AdmittedBody<B>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        use bytes::Buf;
        let this = self.project();
        let frame = match ready!(this.body.poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        if let (Some(charge), Some(data)) = (this.charge, frame.data_ref()) {
            let length = data.remaining() as u64;
            let beyond = length.saturating_sub(charge.announced);
            charge.announced = charge.announced.saturating_sub(length);
            if !this.permit.grow(beyond) {
                return Poll::Ready(Some(Err(full(charge.retry_after).into())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
