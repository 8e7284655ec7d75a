//! What it costs to find the top-level members of a body, by its size: a chat in plain text, and one with a large image.
//!
//! Beside it the check that the bytes are text, which a body needs in any case, and serde's way of finding where members end.

#![allow(clippy::print_stdout, reason = "a bench speaks to whoever runs it")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;
use ziggurat_core::Outline;

fn chat(bytes: usize) -> String {
    let turn = r#"{"role":"user","content":"The committee met on \"Tuesday\" to weigh two proposals.\nSummarise what follows."},{"role":"assistant","content":"It did."},"#;
    let turns = turn.repeat(bytes.div_ceil(turn.len()));
    format!(
        r#"{{"model":"asked","temperature":0.5,"messages":[{}],"stream":true}}"#,
        turns.trim_end_matches(',')
    )
}

fn image(bytes: usize) -> String {
    let data = "iVBORw0KGgoAAAANSUhE".repeat(bytes.div_ceil(20));
    format!(
        r#"{{"model":"asked","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}],"stream":true}}"#
    )
}

fn outlines(criterion: &mut Criterion) {
    let bodies = [
        ("2 KiB of chat", chat(2 << 10)),
        ("64 KiB of chat", chat(64 << 10)),
        ("10 MB of base64", image(10_000_000)),
    ];
    for (name, body) in &bodies {
        let counted = allocation_counter::measure(|| {
            black_box(Outline::read(body).expect("the body is an object"));
        });
        println!("outline/{name}: {} allocations", counted.count_total);
        let mut group = criterion.benchmark_group(format!("outline/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("outline", |bencher| {
            bencher.iter(|| Outline::read(black_box(body)).map(|outline| outline.len()));
        });
        group.bench_function("UTF-8", |bencher| {
            bencher.iter(|| std::str::from_utf8(black_box(body.as_bytes())).is_ok());
        });
        group.bench_function("skipped by serde", |bencher| {
            bencher.iter(|| serde_json::from_str::<IgnoredAny>(black_box(body)).is_ok());
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = outlines
}
criterion_main!(benches);
