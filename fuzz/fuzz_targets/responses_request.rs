//! Requests of OpenAI's Responses, written for providers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(responses_request);
