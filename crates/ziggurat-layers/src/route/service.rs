use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Guard, Instant, Reply, Scope, Settle};

use super::future::Attempt;
use super::{ResponseFuture, Table};

/// Answers each call by one deployment of the group that its model names. See the [module](super).
pub struct Route<S> {
    table: Arc<Table<S>>,
}

impl<S: Clone> Route<S> {
    /// A route over this table.
    #[must_use]
    pub fn new(table: impl Into<Arc<Table<S>>>) -> Self {
        Self { table: table.into() }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<Table<S>> {
        &self.table
    }

    fn route(&self, mut call: Call) -> Result<ResponseFuture<S>, Error>
    where
        S: Service<Call, Response = Reply, Error: Into<Error>>,
    {
        let group = self.table.find(call.model())?;
        let group = group.ok_or_else(|| self.table.unknown(&call, call.model()))?;
        let begun = Instant::now();
        let now = self.table.registry().shared().clock.at(begun);
        let tried = call.scope().map(Scope::tried).unwrap_or_default();
        let chosen = group.fleet.choose(&call, &tried, now)?;
        let lane = &group.fleet.lanes[chosen.at];
        let endpoint = &group.endpoints[chosen.at];
        let opened = open(&mut call).and_then(|(scope, guards)| {
            // Before the inner call: a future that is never polled still gives its place back.
            let settle: Arc<dyn Settle> = Arc::<super::lane::Lane>::clone(lane);
            let (id, price) = (endpoint.id.clone(), endpoint.settings.price.as_ref());
            scope.dispatch(id, price, settle, chosen.ticket).map_err(|_| Error::closed())?;
            Ok((scope, guards))
        });
        let (scope, guards) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                lane.give_back(now, chosen.ticket);
                return Err(error);
            }
        };
        if let Some(model) = &endpoint.settings.model {
            call.set_model(model.clone());
        }
        let service = endpoint.service.clone();
        let attempt = Attempt { group, chosen, scope, guards, begun, sent: false };
        Ok(ResponseFuture::new(service, call, attempt))
    }
}

/// The attempt's scope, and the guards that had to be opened for it: of the attempt, of the call.
fn open(call: &mut Call) -> Result<(Scope, [Option<Guard>; 2]), Error> {
    let (scope, guard) = call.open_scope();
    if guard.is_some() || scope.attempt_number().is_some() {
        return Ok((scope, [None, guard]));
    }
    // Nobody above counts attempts; each has its own end all the same.
    let attempt = scope.attempt().map_err(|_| Error::closed())?;
    let scope = attempt.scope();
    call.set_scope(scope.clone());
    Ok((scope, [Some(attempt), None]))
}

impl<S> Service<Call> for Route<S>
where
    S: Service<Call, Response = Reply, Error: Into<Error>> + Clone,
{
    type Response = Reply;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Which deployment it will be is not known yet; each is made ready in the future.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> ResponseFuture<S> {
        self.route(call).unwrap_or_else(ResponseFuture::failed)
    }
}

impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table) }
    }
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("table", &self.table).finish()
    }
}
