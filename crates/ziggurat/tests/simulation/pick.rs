//! The simplest router: of a model's deployments, one that was not tried, by chance.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service, ServiceExt};
use ziggurat::http::{Deployment, Translate, TranslateLayer};

use ziggurat::layers::{Peek, PeekLayer, Timeout, TimeoutLayer};
use ziggurat::{Ambient, Call, Error, ErrorKind, Reply};
use ziggurat_testkit::sim::{SimTransport, World};

use crate::{deployment, secs};

/// One deployment: what stands under the choice.
pub(crate) type Lane = Peek<Timeout<Translate<SimTransport>>>;

pub(crate) fn lane(world: &World, deployment: Deployment) -> Lane {
    let provider = world.provider(&deployment.id);
    let timeout = TimeoutLayer::new().first_content(secs(20)).idle(secs(20)).attempt(secs(200));
    PeekLayer::new().layer(timeout.layer(TranslateLayer::new(deployment).layer(provider)))
}

/// Chooses among the deployments of a model.
#[derive(Clone)]
pub(crate) struct Pick {
    groups: Arc<[Group]>,
    ambient: Arc<dyn Ambient>,
}

struct Group {
    model: String,
    lanes: Vec<(String, Lane)>,
}

impl Pick {
    /// Models, and the deployments of each.
    pub(crate) fn new(world: &World, groups: &[(&str, &[&str])]) -> Self {
        let group = |(model, names): &(&str, &[&str])| {
            let lanes =
                names.iter().map(|name| ((*name).to_owned(), lane(world, deployment(world, name))));
            Group { model: (*model).to_owned(), lanes: lanes.collect() }
        };
        Self { groups: groups.iter().map(group).collect(), ambient: world.ambient() }
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
        let group = self.groups.iter().find(|group| *call.model() == *group.model);
        let Some(Group { lanes, .. }) = group else {
            let error = Error::new(ErrorKind::NotFound, "there is no such model");
            return Box::pin(ready(Err(error)));
        };
        let tried = call.scope().map(|scope| scope.tried()).unwrap_or_default();
        let is_fresh = |name: &str| tried.iter().all(|tried| *tried != *name);
        let fresh: Vec<_> = lanes.iter().filter(|(name, _)| is_fresh(name)).collect();
        let of = if fresh.is_empty() { lanes.iter().collect() } else { fresh };
        let (_, lane) = of[usize::try_from(self.ambient.random() % of.len() as u64).unwrap()];
        let (lane, elsewhere) = (lane.clone(), of.len() > 1);
        Box::pin(async move {
            lane.oneshot(call).await.map_err(|error| error.with_elsewhere(elsewhere))
        })
    }
}
