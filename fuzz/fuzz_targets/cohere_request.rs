//! Requests of Cohere's chat, written for providers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(cohere_request);
