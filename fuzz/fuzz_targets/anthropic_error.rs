//! Errors of Anthropic's, written for callers of both dialects.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(anthropic_error);
