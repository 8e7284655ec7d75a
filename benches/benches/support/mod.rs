//! What the micro benches share. Each of them uses some of it.

#![allow(dead_code)]
#![allow(clippy::print_stdout, reason = "a bench speaks to whoever runs it")]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Bencher, Criterion};
use ziggurat_core::Instant;

/// Drives what never waits.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a canned answer never waits"),
    }
}

/// Counts the allocations of one run, which is not the first, and prints them.
pub(crate) fn allocations<I, O>(name: &str, input: impl Fn() -> I, run: impl Fn(I) -> O) {
    for _ in 0..3 {
        black_box(run(input()));
    }
    let ready = input();
    let counted = allocation_counter::measure(|| {
        black_box(run(ready));
    });
    println!("{name}: {} allocations, {} bytes", counted.count_total, counted.bytes_total);
}

/// Times one run of `run` over what `input` makes, and counts its allocations.
pub(crate) fn measure<I, O>(
    criterion: &mut Criterion,
    name: &str,
    input: impl Fn() -> I,
    run: impl Fn(I) -> O,
) {
    allocations(name, &input, &run);
    criterion.bench_function(name, |bencher| timed(bencher, 1, &input, &run));
}

/// Times one of the `events` that `run` goes through, and counts what the last half of them allocates.
///
/// The input is made for a number of events: what a run allocates before and after them is taken off by the difference of
/// all and half of them.
pub(crate) fn measure_events<I, O>(
    criterion: &mut Criterion,
    name: &str,
    events: usize,
    input: impl Fn(usize) -> I,
    run: impl Fn(I) -> O,
) {
    let count = |events| {
        let ready = input(events);
        let counted = allocation_counter::measure(|| {
            black_box(run(ready));
        });
        counted.count_total
    };
    count(events);
    let (half, all) = (count(events / 2), count(events));
    let each = all.saturating_sub(half) as f64 / (events - events / 2) as f64;
    println!("{name}: {each:.2} allocations each");
    criterion.bench_function(name, |bencher| {
        let events_each = u32::try_from(events).unwrap_or(u32::MAX);
        timed(bencher, events_each, || input(events), &run);
    });
}

/// Only `run` is timed, and what it returns is dropped outside.
fn timed<I, O>(
    bencher: &mut Bencher<'_>,
    divisor: u32,
    input: impl Fn() -> I,
    run: impl Fn(I) -> O,
) {
    bencher.iter_custom(|rounds| {
        let mut total = Duration::ZERO;
        for _ in 0..rounds {
            let ready = input();
            let start = Instant::now();
            let output = black_box(run(black_box(ready)));
            total += start.elapsed();
            drop(output);
        }
        total / divisor
    });
}
