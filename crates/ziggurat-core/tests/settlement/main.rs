//! Whatever happens to a call, and in whatever order, everyone who must know its end is told exactly once, of the right end
//! and with exact sums.
//!
//! Each run takes one seed: it makes a small stack, a provider with a script, and a sequence of things that happen. A model
//! of the books is kept beside them and compared after every step. `SEED=17` repeats one run; `ZIGGURAT_LONG=1` makes a
//! million of them.

// All of it is a test, also what is no `#[test]` function itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod stack;
mod threads;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use tower_service::Service;
use ziggurat_core::{Call, Facts, Reply, ReplyBody};

use stack::{Attempts, Budget, Door, Provider};
use world::{Kind, World};

#[test]
fn every_interleaving_settles_everyone_once() {
    for_seeds("every_interleaving_settles_everyone_once", interleaving);
}

#[test]
fn threads_that_race_agree_on_one_end() {
    threads::race();
}

/// Runs `test` for every seed, and names the seed on which it fails.
fn for_seeds(name: &str, test: impl Fn(u64)) {
    for seed in seeds() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!(
                "to repeat: SEED={seed} cargo test -p ziggurat-core --test settlement {name}"
            );
            resume_unwind(panic);
        }
    }
}

/// The seeds of this run: the one that was asked for, or many.
fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        return seed..seed + 1;
    }
    0..if std::env::var_os("ZIGGURAT_LONG").is_some() { 1_000_000 } else { 3_000 }
}

type Stack = Door<Budget<Attempts<Budget<Provider>>>>;
type Answering = <Stack as Service<Call>>::Future;

/// Where the call is.
enum Stage {
    Future(Answering),
    Reply(Box<Reply>),
    Over,
}

fn interleaving(seed: u64) {
    let world = World::new(Rng::with_seed(seed));
    let stage = {
        let stack = Budget::around(Provider::new(&world), &world);
        let stack = Budget::around(Attempts::around(stack, &world), &world);
        let mut stack = Door::around(stack, &world);
        Stage::Future(stack.call(Call::chat("model").user("Hello!").streamed()))
    };
    let mut stage = stage;
    world.check();
    for _ in 0..200 {
        if matches!(stage, Stage::Over) {
            break;
        }
        stage = step(stage, &world);
        world.check();
    }
    if !matches!(stage, Stage::Over) {
        world.expect_all(Kind::Cancelled);
        drop(stage);
        world.check();
    }
    for _ in 0..world.below(4) {
        world.meddle();
        world.check();
    }
    world.finish();
}

fn step(stage: Stage, world: &Arc<World>) -> Stage {
    if world.chance(3) {
        world.meddle();
        return stage;
    }
    match stage {
        Stage::Future(future) => step_future(future, world),
        Stage::Reply(reply) => step_reply(reply, world),
        Stage::Over => Stage::Over,
    }
}

fn step_future(mut future: Answering, world: &Arc<World>) -> Stage {
    if world.chance(16) {
        world.expect_all(Kind::Cancelled);
        drop(future);
        return Stage::Over;
    }
    let mut cx = Context::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(&mut cx))) {
        Ok(Poll::Pending) => Stage::Future(future),
        Ok(Poll::Ready(Ok(mut reply))) => {
            if world.chance(4) {
                reply.wrap_frames(stack::Through);
            }
            // What is left of the future has no part in the call any more.
            drop(future);
            Stage::Reply(Box::new(reply))
        }
        // The stack has said what it expects.
        Ok(Poll::Ready(Err(_))) => {
            if world.chance(2) {
                drop(future);
            }
            Stage::Over
        }
        Err(_panic) => {
            world.expect_all(Kind::Cancelled);
            drop(future);
            Stage::Over
        }
    }
}

fn step_reply(mut reply: Box<Reply>, world: &Arc<World>) -> Stage {
    if world.chance(16) {
        world.expect_reply_ends(Kind::Cancelled);
        drop(reply);
        return Stage::Over;
    }
    if !reply.is_streamed() {
        let body = reply.take_body();
        assert!(!matches!(body, ReplyBody::Taken), "a body that was not taken is there");
        if let ReplyBody::Answer(answer) = &body {
            world.expect_usage(world.delivered(), answer.usage().as_ref());
        }
        world.expect_reply_ends(Kind::Success);
        return if world.chance(2) { Stage::Reply(reply).over() } else { Stage::Over };
    }
    let mut cx = Context::from_waker(Waker::noop());
    // Sometimes a panic drops the reply while it unwinds, sometimes the reply outlives it.
    if world.chance(2) {
        match catch_unwind(AssertUnwindSafe(|| reply.poll_frame(&mut cx))) {
            Ok(next) => expect_frame(&next, world),
            Err(_panic) => {
                world.expect_reply_ends(Kind::Cancelled);
                drop(reply);
                return Stage::Over;
            }
        }
        return Stage::Reply(reply);
    }
    let polled = catch_unwind(AssertUnwindSafe(move || {
        let next = reply.poll_frame(&mut cx);
        (reply, next)
    }));
    match polled {
        Ok((reply, next)) => {
            expect_frame(&next, world);
            let over = matches!(next, Poll::Ready(None | Some(Err(_)))) && world.chance(2);
            if over { Stage::Reply(reply).over() } else { Stage::Reply(reply) }
        }
        Err(_panic) => {
            world.expect_reply_ends(Kind::Cancelled);
            Stage::Over
        }
    }
}

/// What reading a frame means for the books.
fn expect_frame(
    next: &Poll<Option<Result<ziggurat_core::Frame, ziggurat_core::Error>>>,
    world: &World,
) {
    match next {
        Poll::Pending => {}
        Poll::Ready(Some(Ok(frame))) => {
            if frame.facts().has(Facts::CONTENT) {
                world.expect_content(world.delivered());
            }
            world.expect_contents(frame.contents());
            world.expect_usage(world.delivered(), frame.usage());
            if frame.facts().has(Facts::ERROR) {
                world.expect_reply_ends(Kind::Failure);
            } else if frame.facts().has(Facts::TERMINATOR) {
                world.expect_reply_ends(Kind::Success);
            }
        }
        Poll::Ready(Some(Err(_))) => world.expect_reply_ends(Kind::Failure),
        Poll::Ready(None) => world.expect_reply_ends(Kind::Success),
    }
}

impl Stage {
    /// Drops what is there: its end was told before, so that this changes nothing.
    fn over(self) -> Self {
        drop(self);
        Self::Over
    }
}
