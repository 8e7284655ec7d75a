//! Requests of OpenAI's, written for providers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(openai_request);
