//! Layers that are wrong in one way each. The kit must see it, or it proves nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Call, CallService, End, Error, ErrorKind, Facts, Frame, Frames, Reply, Scope, Settlement,
};
use ziggurat_testkit::sim::{CallEnd, Faults, Report, Simulation, Stack, TOP, World};

use crate::good::base;

/// What the kit says of a stack, until it says something: which invariants are broken.
fn caught(simulation: &Simulation, build: impl Fn(&World) -> Stack + Clone + 'static) -> Report {
    for seed in 0..60 {
        let report = simulation.simulate(seed, build.clone());
        if !report.violations.is_empty() {
            return report;
        }
    }
    panic!("nothing was seen");
}

#[track_caller]
fn assert_caught(report: &Report, invariant: &str) {
    let broken = report.violations.iter().any(|violation| violation.invariant == invariant);
    assert!(broken, "{invariant}: {:?}", report.violations);
}

type Inner = BoxCloneSyncService<Call, Reply, Error>;

/// A layer out of a function, which is given the service within.
fn wrong<F, Fut>(within: impl CallService, function: F) -> impl CallService
where
    F: Fn(Inner, Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Error>> + Send + 'static,
{
    let inner = BoxCloneSyncService::new(within);
    let inner = Arc::new(Mutex::new(inner));
    service_fn(move |call| function(inner.lock().unwrap().clone(), call))
}

type Asking = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;
type Polled = Poll<Option<Result<Frame, Error>>>;

/// A stream that goes on with another one when it breaks.
struct Again<F> {
    frames: Box<dyn Frames>,
    more: F,
    asking: Option<Asking>,
}

impl<F, Fut> Frames for Again<F>
where
    F: FnMut() -> Fut + Send + Unpin,
    Fut: Future<Output = Result<Reply, Error>> + Send + 'static,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(asking) = &mut self.asking {
                let Poll::Ready(reply) = asking.as_mut().poll(cx) else { return Poll::Pending };
                self.asking = None;
                let mut reply = match reply {
                    Ok(reply) => reply,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                let mut stolen = None;
                reply.wrap_frames(|frames| {
                    stolen = Some(frames);
                    Nothing
                });
                self.frames = stolen.unwrap_or_else(|| Box::new(Nothing));
            }
            match self.frames.poll_frame(cx) {
                Poll::Ready(Some(Err(_))) => self.asking = Some(Box::pin((self.more)())),
                other => return other,
            }
        }
    }
}

struct Nothing;

impl Frames for Nothing {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Polled {
        Poll::Ready(None)
    }
}

#[test]
fn a_retry_after_content_is_caught() {
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            let mut reply = inner.clone().oneshot(call.clone()).await?;
            let more = move || inner.clone().oneshot(call.clone());
            reply.wrap_frames(|frames| Again { frames, more, asking: None });
            Ok(reply)
        }))
    };
    let report = caught(&Simulation::new(), build);
    assert_caught(&report, "no attempt after the commit point");
}

#[test]
fn text_of_two_attempts_is_caught() {
    // Both are asked at once, and the second stands behind the first.
    struct Both(Option<Box<dyn Frames>>, Box<dyn Frames>);
    impl Frames for Both {
        fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
            let Some(first) = &mut self.0 else { return self.1.poll_frame(cx) };
            match first.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.facts().any(Facts::CONTENT) => {
                    self.0 = None;
                    Poll::Ready(Some(Ok(frame)))
                }
                other => other,
            }
        }
    }
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            let mut first = inner.clone().oneshot(call.clone()).await?;
            let mut second = inner.oneshot(call).await?;
            let mut stolen = None;
            second.wrap_frames(|frames| {
                stolen = Some(frames);
                Nothing
            });
            if let Some(second) = stolen {
                first.wrap_frames(|frames| Both(Some(frames), second));
            }
            Ok(first)
        }))
    };
    assert_caught(&caught(&Simulation::new(), build), "one attempt's text");
}

#[test]
fn a_cut_that_is_swallowed_is_caught() {
    struct Swallow(Box<dyn Frames>);
    impl Frames for Swallow {
        fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
            match self.0.poll_frame(cx) {
                Poll::Ready(Some(Err(_))) => Poll::Ready(None),
                other => other,
            }
        }
    }
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            let mut reply = inner.oneshot(call).await?;
            reply.wrap_frames(Swallow);
            Ok(reply)
        }))
    };
    assert_caught(&caught(&Simulation::new(), build), "one answer or one error");
}

#[test]
fn an_invented_end_is_caught() {
    // As the gateways do which end a cut stream with a finish reason of their own.
    struct Invent(Box<dyn Frames>, u8);
    impl Frames for Invent {
        fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
            const END: [(&str, Facts); 2] = [
                (
                    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                    Facts::STOP,
                ),
                ("data: [DONE]\n\n", Facts::TERMINATOR),
            ];
            if self.1 == 0 {
                match self.0.poll_frame(cx) {
                    Poll::Ready(Some(Err(_))) => {}
                    other => return other,
                }
            }
            let Some((bytes, facts)) = END.get(usize::from(self.1)) else {
                return Poll::Ready(None);
            };
            self.1 += 1;
            Poll::Ready(Some(Ok(Frame::new(bytes::Bytes::from_static(bytes.as_bytes()), *facts))))
        }
    }
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            let mut reply = inner.oneshot(call).await?;
            if reply.head().dialect == Some(ziggurat_dialects::OPENAI) {
                reply.wrap_frames(|frames| Invent(frames, 0));
            }
            Ok(reply)
        }))
    };
    let report = caught(&Simulation::new(), build);
    // It reads like an answer, but it is not what the provider meant to say.
    assert_caught(&report, "one attempt's text");
}

#[test]
fn a_permit_that_leaks_is_caught() {
    #[derive(Clone)]
    struct Permits(Arc<AtomicU64>);
    impl Permits {
        const MOST: u64 = 2;
    }
    let layer = |permits: Permits, world: &World| {
        world.calls(wrong(base(world), move |inner: Inner, call: Call| {
            let permits = permits.clone();
            async move {
                if permits.0.fetch_add(1, Ordering::Relaxed) >= Permits::MOST {
                    permits.0.fetch_sub(1, Ordering::Relaxed);
                    return Err(Error::new(ErrorKind::RateLimit, "too many at once"));
                }
                // Not given back where this future is dropped, nor where what is within panics.
                let reply = inner.oneshot(call).await;
                permits.0.fetch_sub(1, Ordering::Relaxed);
                reply
            }
        }))
    };
    let measured = move |world: &World| {
        let permits = Permits(Arc::default());
        let out = permits.clone();
        world.gauge("permits", move || out.0.load(Ordering::Relaxed));
        layer(permits, world)
    };
    assert_caught(&caught(&Simulation::new(), measured), "nothing leaks");
    // Seen from outside alone: when all is well again there is no room left.
    let permits = move |world: &World| layer(Permits(Arc::default()), world);
    let report = caught(&Simulation::new().recovery(Permits::MOST), permits);
    assert_caught(&report, "the stack recovers");
}

#[test]
fn usage_that_is_booked_twice_is_caught() {
    // Once by the attempt, to which the reply reports, and once more on the call.
    struct Booking(Box<dyn Frames>, Scope);
    impl Frames for Booking {
        fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
            let next = self.0.poll_frame(cx);
            if let Poll::Ready(Some(Ok(frame))) = &next
                && let Some(usage) = frame.usage()
            {
                self.1.report_usage(usage);
            }
            next
        }
    }
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, mut call: Call| {
            let scope = call.scope().cloned().unwrap();
            let attempt = scope.attempt().unwrap();
            call.set_scope(attempt.scope());
            let mut reply = inner.oneshot(call).await?;
            reply.hold(attempt);
            reply.wrap_frames(|frames| Booking(frames, scope));
            Ok(reply)
        }))
    };
    assert_caught(&caught(&Simulation::new(), build), "usage is booked as it was");
}

#[test]
fn an_end_that_is_never_told_is_caught() {
    // Its books are kept open by somebody who never closes them.
    let build = |world: &World| {
        let within = world.probe("within").layer(base(world));
        world.calls(wrong(within, async |inner: Inner, mut call: Call| {
            let guard = Settlement::open();
            call.set_scope(guard.scope());
            let reply = inner.oneshot(call).await;
            std::mem::forget(guard);
            reply
        }))
    };
    assert_caught(&caught(&Simulation::new(), build), "settled once");
}

#[test]
fn a_call_that_is_booked_wrongly_is_caught() {
    // The books are closed as soon as the head is there.
    let build = |world: &World| {
        let within = world.probe(TOP).layer(base(world));
        world.http(world.front_door().layer(wrong(within, async |inner: Inner, mut call: Call| {
            let guard = Settlement::open();
            call.set_scope(guard.scope());
            let reply = inner.oneshot(call).await?;
            guard.close(End::Success);
            Ok(reply)
        })))
    };
    let report = caught(&Simulation::new(), build);
    assert_caught(&report, "booked as it was");
    let report = caught(&Simulation::new().faults(Faults::none()), build);
    assert_caught(&report, "usage is booked as it was");
}

#[test]
fn attempts_without_measure_are_caught() {
    let stubborn = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            let mut tries = 0;
            loop {
                let reply = inner.clone().oneshot(call.clone()).await;
                tries += 1;
                if reply.is_ok() || tries == 5 {
                    return reply;
                }
            }
        }))
    };
    assert_caught(&caught(&Simulation::new().most_attempts(3), stubborn), "attempts are bounded");
    let report = caught(&Simulation::new().retry_budget(20, 3), stubborn);
    assert_caught(&report, "retries keep to their budget");
}

#[test]
fn a_task_that_is_forgotten_is_caught() {
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            tokio::spawn(std::future::pending::<()>());
            inner.oneshot(call).await
        }))
    };
    assert_caught(&caught(&Simulation::new(), build), "nothing leaks");
}

#[test]
fn a_caller_who_is_forgotten_is_caught() {
    let build = |world: &World| {
        world.calls(wrong(base(world), async |inner: Inner, call: Call| {
            match inner.oneshot(call).await {
                Ok(reply) => Ok(reply),
                Err(_) => std::future::pending().await,
            }
        }))
    };
    let simulation = Simulation::new().patience(Duration::from_secs(900));
    let report = caught(&simulation, build);
    assert_caught(&report, "one answer or one error");
    assert!(report.count(&CallEnd::Unanswered) > 0);
}
