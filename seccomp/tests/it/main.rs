//! What a compiled filter does, against the rules themselves and against libseccomp.

mod differential;
mod generate;
mod naive;
mod oracle;
mod programs;
