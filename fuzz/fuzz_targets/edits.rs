//! Edits of a body against a map of its members.
#![cfg_attr(fuzzing, no_main)]
ziggurat_fuzz::target!(edits);
