//! Messages of AWS's binary streams.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(event_stream);
