//! The committed corpus and deterministic mutations of it, as plain tests.

use std::{collections::BTreeSet, fs, path::Path};

use ziggurat_fuzz::{TARGETS, corpus, mutate::Mutator};

/// Mutations for each target, spread over the files of its corpus. A target costs some milliseconds where many dialects write
/// what it read.
const MUTATIONS: usize = 1000;

/// No mutated input grows longer, in bytes.
const LIMIT: usize = 16 * 1024;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn every_target_holds_on_its_corpus_and_on_mutations_of_it() {
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(|| holds(name, *target));
        }
    });
}

fn holds(name: &str, target: ziggurat_fuzz::Target) {
    let inputs = corpus(&folder("corpus").join(name)).expect("every target has a corpus");
    for (index, (file, data)) in inputs.iter().enumerate() {
        check(name, file, target, data);
        let other = &inputs[(index + 1) % inputs.len()].1;
        let mut mutator = Mutator::new(index as u64);
        for _ in 0..MUTATIONS.div_ceil(inputs.len()) {
            let mut mutated = data.clone();
            mutator.mutate(&mut mutated, other, LIMIT);
            check(name, file, target, &mutated);
        }
    }
}

/// Says which bytes broke the promise: they belong into the corpus.
#[allow(clippy::print_stderr, reason = "a test speaks to whoever reads its output")]
fn check(name: &str, file: &str, target: ziggurat_fuzz::Target, data: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| target(data)) {
        eprintln!("{name}, from {file}: {}", data.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_nothing_else_has() {
    let listed: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |dir: &str| -> BTreeSet<String> {
        fs::read_dir(folder(dir))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect()
    };
    assert_eq!(listed, stems("fuzz_targets"));
    assert_eq!(listed, stems("corpus"));
    for name in &listed {
        assert!(!corpus(&folder("corpus").join(name)).unwrap().is_empty(), "{name}: no examples");
        let program = fs::read_to_string(folder("fuzz_targets").join(name).with_extension("rs"));
        assert!(program.unwrap().contains(&format!("target!({name})")), "{name} runs another");
    }
}
