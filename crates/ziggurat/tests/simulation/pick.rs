//! The simplest router: of several deployments, one that was not tried, by chance.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service, ServiceExt};
use ziggurat::http::{Deployment, Translate, TranslateLayer};

use ziggurat::layers::{Peek, PeekLayer, Timeout, TimeoutLayer};
use ziggurat::{Ambient, Call, Error, Reply};
use ziggurat_testkit::sim::{SimTransport, World};

use crate::{deployment, secs};

/// One deployment: what stands under the choice.
pub(crate) type Lane = Peek<Timeout<Translate<SimTransport>>>;

pub(crate) fn lane(world: &World, deployment: Deployment) -> Lane {
    let provider = world.provider(&deployment.id);
    let timeout = TimeoutLayer::new().first_content(secs(20)).idle(secs(20)).attempt(secs(200));
    PeekLayer::new().layer(timeout.layer(TranslateLayer::new(deployment).layer(provider)))
}

/// Chooses among deployments.
#[derive(Clone)]
pub(crate) struct Pick {
    lanes: Arc<[(String, Lane)]>,
    ambient: Arc<dyn Ambient>,
}

impl Pick {
    pub(crate) fn new(world: &World, names: &[&str]) -> Self {
        let lane = |name: &&str| ((*name).to_owned(), lane(world, deployment(world, name)));
        Self { lanes: names.iter().map(lane).collect(), ambient: world.ambient() }
    }
}

impl Service<Call> for Pick {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let tried = call.scope().map(|scope| scope.tried()).unwrap_or_default();
        let fresh: Vec<_> = self
            .lanes
            .iter()
            .filter(|(name, _)| tried.iter().all(|tried| tried != name.as_str()))
            .collect();
        let of = if fresh.is_empty() { self.lanes.iter().collect() } else { fresh };
        let (_, lane) = of[usize::try_from(self.ambient.random() % of.len() as u64).unwrap()];
        let (lane, elsewhere) = (lane.clone(), of.len() > 1);
        Box::pin(async move {
            lane.oneshot(call).await.map_err(|error| error.with_elsewhere(elsewhere))
        })
    }
}
