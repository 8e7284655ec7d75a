//! Whole answers of Cohere's chat, written for callers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(cohere_reply);
