//! Streams of Bedrock's ConverseStream, written for callers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(converse_stream);
