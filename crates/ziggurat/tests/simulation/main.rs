//! The layers together, under thousands of seeds: whatever fails, every caller is told the truth once, limits hold, and nothing is
//! left behind.
//!
//! `ZIGGURAT_LONG=1` runs ten thousand seeds; a seed that fails says how to see it again.

// Helpers fail a test by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bounds;
mod caching;
mod limits;
mod pick;
mod retries;
mod routes;
mod shared;
mod whole;

use std::time::Duration;

use ziggurat::dialects::{ANTHROPIC, OPENAI};
use ziggurat::http::Deployment;
use ziggurat::{NanoDollars, Price, Secret};
use ziggurat_testkit::sim::World;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A deployment at the simulated provider of this name, in a dialect that the seed decides.
fn deployment(world: &World, name: &str) -> Deployment {
    let (dialect, base) = match world.chance(name).percent(50) {
        true => (OPENAI, "http://openai.test/v1"),
        false => (ANTHROPIC, "http://anthropic.test"),
    };
    let price = Price::per_million(NanoDollars(2_000_000_000), NanoDollars(8_000_000_000));
    Deployment::new(name, dialect, base.parse().unwrap())
        .key(Secret::new("sk"))
        .model("gpt-4.1")
        .price(price)
}
