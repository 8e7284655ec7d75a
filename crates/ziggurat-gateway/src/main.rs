//! The gateway binary.

use std::process::ExitCode;

/// Calls make many small allocations on many threads, which this allocator is good at.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ziggurat_gateway::run::main()
}
