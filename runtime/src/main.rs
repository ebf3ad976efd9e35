//! The `corten` binary: parse, dispatch, exit code.

fn main() {}
