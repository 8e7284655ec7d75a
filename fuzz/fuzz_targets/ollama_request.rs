//! Requests of Ollama's, written for providers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(ollama_request);
