//! Whole answers of OpenAI's Responses, written for callers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(responses_reply);
