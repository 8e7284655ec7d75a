//! Requests of OpenAI's, written for providers of both dialects.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(responses_request);
