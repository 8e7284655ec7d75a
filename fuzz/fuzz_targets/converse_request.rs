//! Requests of Bedrock's Converse, written for providers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(converse_request);
