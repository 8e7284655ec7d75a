//! What may be at most, read from what passed a probe.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ziggurat_testkit::sim::{Pass, Report, most_within, peak};

use crate::secs;

/// By key: what passed the probe.
fn by_key<'a>(report: &'a Report, probe: &str) -> BTreeMap<&'a str, Vec<&'a Pass>> {
    let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for pass in report.passed(probe) {
        keys.entry(pass.key.as_str()).or_default().push(pass);
    }
    keys
}

/// No key has more calls than this in flight behind the probe.
pub(crate) fn parallel(report: &Report, probe: &str, most: u64) -> Result<(), String> {
    for (key, passes) in by_key(report, probe) {
        let seen = peak(passes.iter().map(|pass| (pass.began, pass.ended)));
        if seen > most {
            return Err(format!("{key} has {seen} calls in flight, {most} are allowed"));
        }
    }
    Ok(())
}

/// In no span has a key more requests behind the probe than the burst and what comes back in it.
pub(crate) fn requests(
    report: &Report,
    probe: &str,
    burst: u64,
    per_minute: u64,
) -> Result<(), String> {
    for (key, passes) in by_key(report, probe) {
        for span in [secs(1), secs(10), secs(60), secs(300)] {
            let seen = most_within(span, passes.iter().map(|pass| (pass.began.at, 1)));
            let most = burst + span.as_secs() * per_minute / 60 + 1;
            if seen > most {
                return Err(format!("{key} has {seen} requests in {span:?}, {most} are allowed"));
            }
        }
    }
    Ok(())
}

/// Retries are this part of the first attempts, and so many a second besides. The probe stands right under the retries.
///
/// A retry is allowed before its wait, and it is not seen when: what is known is that of each ten seconds there are no more than
/// the first attempts of twenty allow.
pub(crate) fn retries(
    report: &Report,
    probe: &str,
    percent: u64,
    per_second: u64,
) -> Result<(), String> {
    let (mut firsts, mut retries, mut last) = (0, 0, Duration::ZERO);
    for pass in report.passed(probe) {
        if pass.attempt > Some(0) {
            retries += 1;
            last = last.max(pass.began.at);
        } else {
            firsts += 1;
        }
    }
    let most = 2 * firsts * percent / 100 + per_second * (last.as_secs() + 10);
    if retries > most {
        return Err(format!("{firsts} first attempts, {retries} retries: {most} are allowed"));
    }
    Ok(())
}

/// The header of every answer says how many requests it took; with a router in between no fewer, for an attempt that finds nobody
/// counts, too.
pub(crate) fn counted(report: &Report, is_routed: bool) -> Result<(), String> {
    let mut asked = BTreeSet::new();
    let shared: BTreeSet<_> = report
        .calls
        .iter()
        .map(|call| call.question)
        .filter(|question| !asked.insert(*question))
        .collect();
    for call in report.calls.iter().filter(|call| !shared.contains(&call.question)) {
        let header = call.headers.iter().find(|(name, _)| name == "x-ziggurat-attempts");
        let Some(said) = header.and_then(|(_, value)| value.parse::<usize>().ok()) else {
            continue;
        };
        let seen = report.attempts_at(call.question).count();
        if said < seen || (said > seen && !is_routed) {
            return Err(format!("call {} says {said} attempts, {seen} were made", call.id));
        }
    }
    Ok(())
}
