//! A service over calls, written by hand: it hands each call to the service that the model's name stands for.

use std::collections::BTreeMap;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::ServiceExt;
use ziggurat::prelude::*;
use ziggurat::{Answer, ModelInfo, Operation};

/// Services by the names of their models.
#[derive(Clone, Debug)]
pub(crate) struct Switch<S> {
    models: Arc<BTreeMap<&'static str, S>>,
}

impl<S> Switch<S> {
    pub(crate) fn new(models: impl IntoIterator<Item = (&'static str, S)>) -> Self {
        Self { models: Arc::new(models.into_iter().collect()) }
    }

    /// All names, for those who ask which there are.
    fn list(&self) -> Answer {
        let models = self.models.keys().map(|name| ModelInfo::new(*name, "example", 0));
        Answer::Models(models.collect())
    }
}

impl<S: CallService> Service<Call> for Switch<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Which service is to be ready is known when the call is here: it is made ready in the future.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let model = call.model();
        match (call.operation(), self.models.get(model.as_str())) {
            (Operation::Models, None) if model.is_empty() => {
                Box::pin(ready(Ok(Reply::answer(self.list()))))
            }
            (Operation::Models, Some(_)) => {
                let info = ModelInfo::new(model.clone(), "example", 0);
                Box::pin(ready(Ok(Reply::answer(Answer::Model(info)))))
            }
            (_, Some(service)) => Box::pin(service.clone().oneshot(call)),
            (_, None) => {
                let message = format!("there is no model `{model}`");
                let error = Error::new(ErrorKind::NotFound, message).with_param("model");
                Box::pin(ready(Err(error)))
            }
        }
    }
}
