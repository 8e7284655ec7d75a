//! What must hold for any bytes: one function per decoder and per translator pair.
//!
//! Each function here takes bytes from nowhere in particular and panics when a promise is broken.
//! It is run in three ways:
//!
//! - by `cargo test -p ziggurat-fuzz`: the committed corpus, and deterministic mutations of it;
//! - by `cargo xtask ci --only fuzz`: some seconds of libFuzzer each, with any toolchain;
//! - by `cargo +nightly fuzz run TARGET`: for as long as one likes.
//!
//! A new target is a function, a line in [`TARGETS`], a file in `fuzz_targets/` with its `[[bin]]`
//! in the manifest, and a folder of examples in `corpus/`. A found input goes into that folder.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a target speaks")]

pub mod mutate;
mod outline;
mod replay;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

pub use outline::outline;
pub use replay::{corpus, replay};

/// A function that panics when some bytes break a promise.
pub type Target = fn(&[u8]);

/// All targets by name: the name of the function, of the program, of the corpus folder.
pub const TARGETS: &[(&str, Target)] = &[("outline", outline)];

/// The body of a program in `fuzz_targets/`: libFuzzer's entry point in a build by a fuzzer, else a
/// `main` that runs the target over the files and folders named on the command line.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($crate::$name, std::env::args_os().skip(1))
        }
    };
}
