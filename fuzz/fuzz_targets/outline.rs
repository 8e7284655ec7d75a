//! The outline of a body against a whole JSON parser.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(outline);
