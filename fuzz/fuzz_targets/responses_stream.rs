//! Streams of OpenAI's, written for callers of both dialects.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(responses_stream);
