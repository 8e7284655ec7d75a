//! Server-sent events: nothing is lost, however they arrive.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(sse);
