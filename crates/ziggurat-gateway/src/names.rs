//! Which model a name stands for.
//!
//! `general_settings.completion_model` is the model of every call, and `router_settings.model_group_alias` gives models other
//! names. Both are resolved once, so that everything below knows a model by one name: the cache, whose entries all names of a model
//! share, the policies of retries and fallbacks, and the choice of a deployment.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Call, CallService, Error, Operation, Reply, Str};

use crate::config::Config;

/// Makes a [`Names`].
#[derive(Clone, Debug, Default)]
pub struct NamesLayer {
    known: Option<Arc<Known>>,
}

/// Puts the model's own name in the place of any other.
#[derive(Clone, Debug)]
pub struct Names<S> {
    inner: S,
    known: Option<Arc<Known>>,
}

#[derive(Debug)]
struct Known {
    /// The model of every call.
    only: Option<Str>,
    aliases: HashMap<Str, Str>,
}

// === impl NamesLayer ===

impl NamesLayer {
    /// A layer that knows the names of this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let router = &config.router;
        let aliases = router
            .aliases
            .iter()
            .map(|alias| (Str::from(alias.name.as_str()), Str::from(router.resolve(&alias.name))));
        let only = config.general.completion_model.as_deref();
        let only = only.map(|model| Str::from(router.resolve(model)));
        let known = Known { only, aliases: aliases.collect() };
        let any = known.only.is_some() || !known.aliases.is_empty();
        Self { known: any.then(|| Arc::new(known)) }
    }
}

impl<S> Layer<S> for NamesLayer {
    type Service = Names<S>;

    fn layer(&self, inner: S) -> Names<S> {
        Names { inner, known: self.known.clone() }
    }
}

// === impl Names ===

impl<S: CallService> Service<Call> for Names<S> {
    type Response = Reply;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> S::Future {
        // A list of models is for none of them.
        if let Some(known) = &self.known
            && call.operation() != Operation::Models
            && let Some(model) = known.only.as_ref().or_else(|| known.aliases.get(call.model()))
        {
            call.set_model(model.clone());
        }
        self.inner.call(call)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::future::{Ready, ready};
    use std::sync::Mutex;

    use super::*;
    use crate::config;

    #[derive(Clone, Default)]
    struct Behind(Arc<Mutex<Vec<Str>>>);

    impl Service<Call> for Behind {
        type Response = Reply;
        type Error = Error;
        type Future = Ready<Result<Reply, Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, call: Call) -> Self::Future {
            self.0.lock().unwrap().push(call.model().clone());
            ready(Err(Error::closed()))
        }
    }

    fn asked(text: &str, models: &[&'static str]) -> Vec<Str> {
        let (config, _) = config::parse(text.as_bytes(), "test", &HashMap::new()).unwrap();
        let behind = Behind::default();
        let mut names = NamesLayer::new(&config).layer(behind.clone());
        for model in models {
            drop(names.call(Call::chat(*model)));
        }
        behind.0.lock().unwrap().clone()
    }

    #[test]
    fn an_alias_is_its_model() {
        let text = "router_settings: {model_group_alias: {a: b, b: {model: c, hidden: true}}}";
        assert_eq!(asked(text, &["a", "b", "c", "d"]), ["c", "c", "c", "d"]);
        assert_eq!(asked("{}", &["a"]), ["a"]);
    }

    #[test]
    fn one_model_may_be_that_of_every_call() {
        let text = "general_settings: {completion_model: a}
router_settings: {model_group_alias: {a: b}}";
        assert_eq!(asked(text, &["a", "x"]), ["b", "b"]);
    }
}
