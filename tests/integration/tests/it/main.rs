//! The integration tests: one binary, one module for each module of the runtime.
//!
//! A test is named `module::what_it_proves`; `docs/spec-coverage.md` refers to these names. A comment that
//! begins `runc:` says where runc differs, and with which version that was seen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod callers;
mod callers_lines;
mod callers_words;
mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod cli;
mod console;
mod create;
mod devices;
mod doctor;
mod events;
mod exec;
mod exec_callers;
mod exec_place;
mod exec_security;
mod exec_terminal;
mod explain;
mod faults;
mod harness_itself;
mod hierarchies;
mod hooks;
mod hostile;
mod hostile_dev;
mod idmap;
mod kernels;
mod labels;
mod lifecycle;
mod mount_options;
mod mounts;
mod namespaces;
mod nested;
mod net;
mod paths;
mod pause;
mod personality;
mod process;
mod propagation;
mod ps;
mod races;
mod rootfs;
mod rootless;
mod run;
mod scheduling;
mod sealed;
mod seccomp;
mod seccomp_record;
mod seccomp_tools;
mod security;
mod spec;
mod sysctl;
mod systemd;
mod systemd_units;
mod systemd_user;
mod systemd_v1;
mod update;
