//! Every check by one command.
fn main() {}
