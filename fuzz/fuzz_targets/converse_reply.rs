//! Whole answers of Bedrock's Converse, written for callers of each dialect.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(converse_reply);
