//! A request of OpenAI's legacy Completions.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(completions_request);
