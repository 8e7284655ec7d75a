//! Notes what passes a point of the stack, and how it is settled.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Call, End, Error, Outcome, Reply, Settle, Ticket};

use super::report::Pass;
use super::world::World;

/// Notes every call that passes, and how its scope is settled. Made by [`World::probe`].
#[derive(Clone, Debug)]
pub struct ProbeLayer {
    world: World,
    name: Arc<str>,
    books: Arc<Books>,
}

/// A [`ProbeLayer`]'s service.
#[derive(Clone, Debug)]
pub struct Probe<S> {
    inner: S,
    layer: ProbeLayer,
}

#[derive(Debug)]
struct Books {
    world: World,
    name: Arc<str>,
}

impl ProbeLayer {
    pub(super) fn new(world: World, name: &str) -> Self {
        let name: Arc<str> = name.into();
        let books = Arc::new(Books { world: world.clone(), name: Arc::clone(&name) });
        Self { world, name, books }
    }

    /// Writes down that a call passes, and registers for its end.
    fn pass(&self, call: &Call) {
        let number =
            call.head().request_id.strip_prefix("call-").and_then(|number| number.parse().ok());
        let mut state = self.world.inner.lock();
        let index = state.report.passes.len();
        let attempt = call.scope().and_then(|scope| scope.attempt_number());
        let line = match (number, attempt) {
            (Some(number), Some(attempt)) => {
                format!("{}: call {number}, attempt {attempt}", self.name)
            }
            (Some(number), None) => format!("{}: call {number}", self.name),
            (None, _) => format!("{}: a call of nobody's", self.name),
        };
        let began = self.world.inner.note(&mut state, format_args!("{line}"));
        state.report.passes.push(Pass {
            probe: self.name.as_ref().to_owned(),
            instance: self.world.instance(),
            call: number,
            key: call.caller().key().unwrap_or_default().to_owned(),
            model: call.model().as_str().to_owned(),
            attempt,
            began,
            ended: None,
            outcomes: Vec::new(),
            unregistered: false,
        });
        drop(state);
        let ticket = Ticket(index as u64, number.unwrap_or(u64::MAX));
        let books = Arc::clone(&self.books);
        if call.register(books, ticket).is_err() {
            self.world.inner.lock().report.passes[index].unregistered = true;
        }
    }
}

impl Settle for Books {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        let mut state = self.world.inner.lock();
        let end = match &outcome.end {
            End::Success => "success".to_owned(),
            End::Failure(error) => format!("{:?}: {error}", error.kind()),
            _ => "cancelled".to_owned(),
        };
        let usage = outcome.usage.map_or_else(
            || "nobody knows what".to_owned(),
            |usage| format!("{} in, {} out", usage.total_input(), usage.total_output()),
        );
        let number = ticket.1;
        let line = format!("{}: call {number} settled: {end}; {usage}", self.name);
        let now = self.world.inner.note(&mut state, format_args!("{line}"));
        let index = usize::try_from(ticket.0).unwrap_or(usize::MAX);
        if let Some(pass) = state.report.passes.get_mut(index) {
            pass.ended.get_or_insert(now);
            pass.outcomes.push(outcome.clone());
        }
    }
}

impl<S> Layer<S> for ProbeLayer {
    type Service = Probe<S>;

    fn layer(&self, inner: S) -> Probe<S> {
        Probe { inner, layer: self.clone() }
    }
}

impl<S> Service<Call> for Probe<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
{
    type Response = Reply;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> S::Future {
        self.layer.pass(&call);
        self.inner.call(call)
    }
}
