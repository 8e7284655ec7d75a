//! The layers in their one right order, however they are named.
//!
//! Most layers are wrong in most places: a retry above a rate limit is counted as often as it is tried, a cache below a budget holds
//! money for what is free, a fallback below a retry is never asked. [`Stack`] has a place for each and puts it there, in whatever
//! order its methods are called.
//!
//! ```
//! use std::time::Duration;
//!
//! use ziggurat_core::CallService;
//! use ziggurat_layers::fallback::FallbackPolicy;
//! use ziggurat_layers::{AccessLayer, FallbackLayer, PeekLayer, RetryLayer, Stack, TimeoutLayer};
//!
//! fn gateway(models: impl CallService) -> impl CallService {
//!     let access = AccessLayer::new();
//!     let policy = FallbackPolicy::new().on("gpt", ["claude"]);
//!     Stack::new()
//!         .peek(PeekLayer::new())
//!         .timeout(TimeoutLayer::new().idle(Duration::from_secs(60)))
//!         .retry(RetryLayer::new())
//!         .access(access.clone())
//!         .fallback(FallbackLayer::new(policy).permit(move |call| access.check(call)))
//!         .service(models)
//! }
//! ```
//!
//! # The order, and why
//!
//! Outermost first:
//!
//! | place | why there |
//! | --- | --- |
//! | [`observe`](Stack::observe) | sees every call, also what the others refuse |
//! | [`access`](Stack::access) | before anything answers, counts or holds something for a call |
//! | [`conversation`](Stack::conversation) | all below see all of a conversation |
//! | [`guard`](Stack::guard) | what must not be asked is not answered from memory either |
//! | [`cache`](Stack::cache) | a hit costs nothing below |
//! | [`rate_limit`](Stack::rate_limit) | a call counts once, however often it is tried; what is refused holds no money |
//! | [`budget`](Stack::budget) | all attempts are paid from one hold |
//! | [`fallback`](Stack::fallback) | a model is given up when trying it again did not help |
//! | [`retry`](Stack::retry) | each attempt is routed afresh |
//! | the route, or: | several deployments, each with the two below around it |
//! | [`peek`](Stack::peek) | `Ok` means content for all above |
//! | [`timeout`](Stack::timeout) | a time that runs out is the provider's failure |
//!
//! A place takes any [`Layer`], somebody else's too; two for one place are made one by [`tower_layer::Stack`] or
//! `tower::ServiceBuilder`, and one that may be absent by `tower::util::option_layer`. A place that is taken cannot be taken again,
//! so that no layer is configured and then not there:
//!
//! ```compile_fail,E0599
//! use ziggurat_layers::{RetryLayer, Stack};
//!
//! let stack = Stack::new().retry(RetryLayer::new()).retry(RetryLayer::new().retries(5));
//! ```
//!
//! A stack is a [`Layer`] itself: others stand around it with `.layer()`, and it stands in a `ServiceBuilder`. Where this order is not
//! the wanted one, plain `.layer()` calls give any other.
//!
//! # Streams and cancellation
//!
//! Those of the layers in it: nothing is added.
//!
//! # Cost
//!
//! None: the service is the one that the same layers give by hand, and places that are not taken are not there.

use std::fmt;

use tower_layer::{Identity, Layer};

/// Layers, each in its place. See the [module](self).
#[derive(Clone, Copy)]
#[must_use = "a stack does nothing before it has a service"]
pub struct Stack<
    O = Identity,
    A = Identity,
    M = Identity,
    G = Identity,
    C = Identity,
    L = Identity,
    B = Identity,
    F = Identity,
    R = Identity,
    P = Identity,
    T = Identity,
> {
    observe: O,
    access: A,
    conversation: M,
    guard: G,
    cache: C,
    rate_limit: L,
    budget: B,
    fallback: F,
    retry: R,
    peek: P,
    timeout: T,
}

impl Stack {
    /// A stack in which all places are free.
    pub fn new() -> Self {
        Self {
            observe: Identity::new(),
            access: Identity::new(),
            conversation: Identity::new(),
            guard: Identity::new(),
            cache: Identity::new(),
            rate_limit: Identity::new(),
            budget: Identity::new(),
            fallback: Identity::new(),
            retry: Identity::new(),
            peek: Identity::new(),
            timeout: Identity::new(),
        }
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

/// A method for one place, which must be free: the places before it, its name, and the places after it.
macro_rules! place {
    ([$($B:ident $before:ident),*] $place:ident [$($A:ident $after:ident),*] $(#[$docs:meta])*) => {
        impl<$($B,)* $($A,)*> Stack<$($B,)* Identity, $($A,)*> {
            $(#[$docs])*
            pub fn $place<N>(self, layer: N) -> Stack<$($B,)* N, $($A,)*> {
                Stack { $($before: self.$before,)* $place: layer, $($after: self.$after,)* }
            }
        }
    };
}

place! {
    []
    observe
    [A access, M conversation, G guard, C cache, L rate_limit, B budget, F fallback, R retry, P peek, T timeout]
    /// Sees every call and its end, also what the others refuse: outermost.
}

place! {
    [O observe]
    access
    [M conversation, G guard, C cache, L rate_limit, B budget, F fallback, R retry, P peek, T timeout]
    /// Asks who may do what, before anything answers, counts or holds something for the call.
}

place! {
    [O observe, A access]
    conversation
    [G guard, C cache, L rate_limit, B budget, F fallback, R retry, P peek, T timeout]
    /// Puts what was said before into a request that only refers to it. Above all that looks at a conversation, guards among
    /// them, and all that counts its tokens.
}

place! {
    [O observe, A access, M conversation]
    guard
    [C cache, L rate_limit, B budget, F fallback, R retry, P peek, T timeout]
    /// Refuses or rewrites prompts and reads answers. Above the cache: what must not be asked is not answered from memory, and
    /// what is stored has been read.
}

place! {
    [O observe, A access, M conversation, G guard]
    cache
    [L rate_limit, B budget, F fallback, R retry, P peek, T timeout]
    /// Answers what is known already. Above all that counts: a hit costs nothing below.
}

place! {
    [O observe, A access, M conversation, G guard, C cache]
    rate_limit
    [B budget, F fallback, R retry, P peek, T timeout]
    /// Counts requests, tokens and calls in flight. Above budgets, whose holds a refused call shall not take, and above all that
    /// tries again: a call counts once, however often it is tried.
}

place! {
    [O observe, A access, M conversation, G guard, C cache, L rate_limit]
    budget
    [F fallback, R retry, P peek, T timeout]
    /// Reserves what the call may cost and settles what it did. Above all that tries again, so that all attempts are paid from
    /// one hold.
}

place! {
    [O observe, A access, M conversation, G guard, C cache, L rate_limit, B budget]
    fallback
    [R retry, P peek, T timeout]
    /// Asks another model. Above the retries, because a model is given up when trying it again did not help.
}

place! {
    [O observe, A access, M conversation, G guard, C cache, L rate_limit, B budget, F fallback]
    retry
    [P peek, T timeout]
    /// Tries again. Above the choice of a deployment, so that each attempt is routed afresh.
}

place! {
    [O observe, A access, M conversation, G guard, C cache, L rate_limit, B budget, F fallback, R retry]
    peek
    [T timeout]
    /// Makes of an overload inside a 200 an error. Below all that decides on `Result`, and above the clocks, whose errors are then
    /// among them. Where a [`route`](crate::route) is the service below, this one stands around each deployment instead.
}

place! {
    [O observe, A access, M conversation, G guard, C cache, L rate_limit, B budget, F fallback, R retry, P peek]
    timeout
    []
    /// Gives up on a provider. Next to it, so that a time that runs out is its failure, like any other. As with
    /// [`peek`](Self::peek), around each deployment where there are several.
}

impl<O, A, M, G, C, L, B, F, R, P, T> Stack<O, A, M, G, C, L, B, F, R, P, T> {
    /// The service with all layers around it.
    pub fn service<Z>(&self, inner: Z) -> <Self as Layer<Z>>::Service
    where
        Self: Layer<Z>,
    {
        self.layer(inner)
    }
}

impl<Z, O, A, M, G, C, L, B, F, R, P, T> Layer<Z> for Stack<O, A, M, G, C, L, B, F, R, P, T>
where
    T: Layer<Z>,
    P: Layer<T::Service>,
    R: Layer<P::Service>,
    F: Layer<R::Service>,
    B: Layer<F::Service>,
    L: Layer<B::Service>,
    C: Layer<L::Service>,
    G: Layer<C::Service>,
    M: Layer<G::Service>,
    A: Layer<M::Service>,
    O: Layer<A::Service>,
{
    type Service = O::Service;

    fn layer(&self, inner: Z) -> O::Service {
        let inner = self.timeout.layer(inner);
        let inner = self.peek.layer(inner);
        let inner = self.retry.layer(inner);
        let inner = self.fallback.layer(inner);
        let inner = self.budget.layer(inner);
        let inner = self.rate_limit.layer(inner);
        let inner = self.cache.layer(inner);
        let inner = self.guard.layer(inner);
        let inner = self.conversation.layer(inner);
        let inner = self.access.layer(inner);
        self.observe.layer(inner)
    }
}

impl<O, A, M, G, C, L, B, F, R, P, T> fmt::Debug for Stack<O, A, M, G, C, L, B, F, R, P, T>
where
    O: fmt::Debug,
    A: fmt::Debug,
    M: fmt::Debug,
    G: fmt::Debug,
    C: fmt::Debug,
    L: fmt::Debug,
    B: fmt::Debug,
    F: fmt::Debug,
    R: fmt::Debug,
    P: fmt::Debug,
    T: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entry(&self.observe)
            .entry(&self.access)
            .entry(&self.conversation)
            .entry(&self.guard)
            .entry(&self.cache)
            .entry(&self.rate_limit)
            .entry(&self.budget)
            .entry(&self.fallback)
            .entry(&self.retry)
            .entry(&self.peek)
            .entry(&self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes its name on what is below it.
    #[derive(Clone, Copy, Debug)]
    struct Note(&'static str);

    impl Layer<Vec<&'static str>> for Note {
        type Service = Vec<&'static str>;

        fn layer(&self, mut below: Self::Service) -> Self::Service {
            below.insert(0, self.0);
            below
        }
    }

    const ORDER: [&str; 12] = [
        "observe",
        "access",
        "conversation",
        "guard",
        "cache",
        "rate_limit",
        "budget",
        "fallback",
        "retry",
        "peek",
        "timeout",
        "provider",
    ];

    /// Calls the methods in this order.
    macro_rules! stack {
        ($($place:ident)*) => { Stack::new()$(.$place(Note(stringify!($place))))* };
    }

    #[test]
    fn the_order_of_calls_does_not_matter() {
        fn both<T>(_: &T, _: &T) {}
        let down = stack!(observe access conversation guard cache rate_limit budget fallback retry peek timeout);
        let up = stack!(timeout peek retry fallback budget rate_limit cache guard conversation access observe);
        let mixed = stack!(retry observe cache timeout access peek budget guard fallback conversation rate_limit);
        both(&down, &up);
        both(&down, &mixed);
        for stack in [down, up, mixed] {
            assert_eq!(stack.service(vec!["provider"]), ORDER);
        }
    }

    #[test]
    fn places_that_are_not_taken_are_not_there() {
        assert_eq!(Stack::new().service(vec!["provider"]), ["provider"]);
        let some = stack!(retry access peek);
        assert_eq!(some.service(vec!["provider"]), ["access", "retry", "peek", "provider"]);
        assert_eq!(size_of_val(&some), 3 * size_of::<Note>());
    }

    #[test]
    fn a_stack_is_a_layer_among_others() {
        let outer = tower::ServiceBuilder::new().layer(Note("outer")).layer(stack!(peek retry));
        let service = outer.layer(Note("inner")).service(vec!["provider"]);
        assert_eq!(service, ["outer", "retry", "peek", "inner", "provider"]);
        let two = tower_layer::Stack::new(Note("inner"), Note("outer"));
        let service = Stack::new().guard(two).cache(Note("cache")).service(vec!["provider"]);
        assert_eq!(service, ["outer", "inner", "cache", "provider"]);
        assert!(format!("{:?}", stack!(peek)).contains("Note(\"peek\")"));
    }

    #[cfg(all(
        feature = "access",
        feature = "fallback",
        feature = "peek",
        feature = "retry",
        feature = "timeout"
    ))]
    #[tokio::test(start_paused = true)]
    async fn the_layers_of_this_crate_fit() {
        use tower::ServiceExt;
        use ziggurat_core::{Call, CallService, Error, ErrorKind, ProviderError};

        use crate::fake::{Act, frame, read, secs};
        use crate::fallback::FallbackPolicy;
        use crate::scripted::{Scripted, Turn};
        use crate::{AccessLayer, FallbackLayer, PeekLayer, RetryLayer, TimeoutLayer};

        fn is(service: impl CallService) -> impl CallService {
            service
        }
        let mut overload = frame("error", ziggurat_core::Facts::NONE);
        overload.set_error(Error::provider(ErrorKind::Overloaded, "no", ProviderError::default()));
        let provider =
            Scripted::new([Turn::Stream(vec![Act::Frame(overload)]), Turn::Hang, Turn::Answer]);
        let policy = FallbackPolicy::new().on("model", ["other"]);
        let service = is(Stack::new()
            .timeout(TimeoutLayer::new().first_content(secs(5)))
            .fallback(FallbackLayer::new(policy))
            .access(AccessLayer::new())
            .peek(PeekLayer::new())
            .retry(RetryLayer::new().retries(1))
            .service(provider.clone()));
        let mut reply = service.oneshot(Call::chat("model").user("a").streamed()).await.unwrap();
        assert_eq!(provider.models(), ["model", "model", "other"]);
        assert_eq!((reply.head().attempts, reply.head().fallbacks), (3, 1));
        assert_eq!(read(&mut reply).await.0, ["start", "word", "[DONE]"]);
    }
}
