//! Vectors and orders, asked for and answered.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(vectors);
