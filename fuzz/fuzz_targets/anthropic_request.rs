//! Requests of Anthropic's, written for providers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(anthropic_request);
