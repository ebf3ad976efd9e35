//! Rules about the process (config.md, "Process"). A container without one can be created.

use std::collections::HashSet;

use oci_spec::runtime::{LinuxSchedulerPolicy, Process};

use super::{Asked, Fault, Rule, Verdict, ensure, set};

pub(super) static RULES: &[Rule] = &[
    Rule {
        field: "process.cwd",
        words: "the working directory is an absolute path",
        section: "config.md, \"Process\"",
        check: |asked| on_process(asked, cwd_is_absolute),
    },
    Rule {
        field: "process.args",
        words: "at least one entry is required",
        section: "config.md, \"POSIX process\"",
        check: |asked| on_process(asked, args_are_set),
    },
    Rule {
        field: "process.terminal",
        words: "a terminal needs somebody to hold its other end",
        section: "runc, \"Terminal Modes\"",
        check: terminal_has_a_holder,
    },
    Rule {
        field: "process.user",
        words: "ids are below 4294967295 and the umask has nine bits",
        section: "config.md, \"POSIX-platform User\"; setresuid(2)",
        check: |asked| on_process(asked, user_is_legal),
    },
    Rule {
        field: "process.rlimits",
        words: "each type at most once, the soft limit not above the hard one",
        section: "config.md, \"POSIX process\"; setrlimit(2)",
        check: |asked| on_process(asked, rlimits_are_legal),
    },
    Rule {
        field: "process.oomScoreAdj",
        words: "from -1000 to 1000",
        section: "proc_pid_oom_score_adj(5)",
        check: |asked| on_process(asked, oom_score_is_legal),
    },
    Rule {
        field: "process.scheduler",
        words: "nice is for SCHED_OTHER and SCHED_BATCH, priority for SCHED_FIFO and SCHED_RR, runtime, deadline and period for SCHED_DEADLINE",
        section: "config.md, \"Linux Process\"; sched(7)",
        check: |asked| on_process(asked, scheduler_is_legal),
    },
    Rule {
        field: "process.ioPriority",
        words: "the priority is from 0 to 7",
        section: "config.md, \"Linux Process\"; ioprio_set(2)",
        check: |asked| on_process(asked, io_priority_is_legal),
    },
    Rule {
        field: "process.execCPUAffinity",
        words: "a list of CPUs such as 0-3,7",
        section: "config.md, \"Linux Process\"",
        check: |asked| on_process(asked, affinity_is_legal),
    },
    Rule {
        field: "process.apparmorProfile",
        words: "a profile is applied or the container is not made",
        section: "config.md, \"Linux Process\"",
        check: apparmor_is_there,
    },
    Rule {
        field: "process.selinuxLabel",
        words: "a label is applied or the container is not made",
        section: "config.md, \"Linux Process\"",
        check: selinux_is_there,
    },
];

fn on_process(asked: Asked<'_>, check: fn(&Process) -> Verdict) -> Verdict {
    asked.process().map_or(Ok(()), check)
}

fn cwd_is_absolute(process: &Process) -> Verdict {
    let cwd = process.cwd();
    ensure(!cwd.as_os_str().is_empty(), || Fault::new("Cwd property must not be empty"))?;
    ensure(cwd.is_absolute(), || {
        Fault::new(format!("Cwd must be an absolute path, {} is not", cwd.display()))
    })
}

fn args_are_set(process: &Process) -> Verdict {
    let set = process.args().as_ref().is_some_and(|args| !args.is_empty());
    ensure(set, || Fault::new("args must not be empty"))
}

fn terminal_has_a_holder(asked: Asked<'_>) -> Verdict {
    let terminal = asked.process().is_some_and(|process| process.terminal().unwrap_or(false));
    let (detach, socket) = (asked.options.detach, asked.options.console_socket.is_some());
    ensure(!(detach && terminal && !socket), || {
        Fault::new("cannot allocate tty if runc will detach without setting console socket")
            .hint("pass --console-socket, or set process.terminal to false")
    })?;
    ensure(!(socket && (!detach || !terminal)), || {
        Fault::new("cannot use console socket if runc will not detach or allocate tty")
            .hint("leave --console-socket out, or set process.terminal to true")
    })
}

fn user_is_legal(process: &Process) -> Verdict {
    let user = process.user();
    let groups = user.additional_gids().iter().flatten().copied();
    let ids = [("uid", user.uid()), ("gid", user.gid())].into_iter();
    for (member, id) in ids.chain(groups.map(|gid| ("additionalGids", gid))) {
        // The kernel takes it for "leave as it is": the process would stay root.
        ensure(id != u32::MAX, || {
            Fault::at(format!("process.user.{member}"), "4294967295 is no id")
        })?;
    }
    let umask = user.umask().unwrap_or(0);
    ensure(umask <= 0o777, || {
        Fault::at("process.user.umask", format!("{umask} has more than nine bits"))
            .hint("JSON numbers are decimal: 0022 is written 18")
    })
}

fn rlimits_are_legal(process: &Process) -> Verdict {
    let mut seen = HashSet::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let name = limit.typ().to_string();
        let (soft, hard) = (limit.soft(), limit.hard());
        let fault = |why: String| Fault::at(format!("process.rlimits[{index}]"), why);
        ensure(soft <= hard, || {
            fault(format!("soft limit {soft} of {name} is above the hard limit {hard}"))
        })?;
        ensure(!seen.contains(&name), || fault(format!("{name} is there twice")))?;
        seen.insert(name);
    }
    Ok(())
}

fn oom_score_is_legal(process: &Process) -> Verdict {
    let score = process.oom_score_adj().unwrap_or(0);
    ensure((-1000..=1000).contains(&score), || Fault::new(format!("{score} is out of range")))
}

fn scheduler_is_legal(process: &Process) -> Verdict {
    use LinuxSchedulerPolicy as Policy;
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let policy = *scheduler.policy();
    let fault = |member: &str, why: String| Fault::at(format!("process.scheduler.{member}"), why);
    ensure(policy != Policy::SchedIso, || {
        fault("policy", "SCHED_ISO is reserved, no Linux implements it".into())
    })?;
    let nice = scheduler.nice().unwrap_or(0);
    ensure((-20..=19).contains(&nice), || fault("nice", format!("{nice} is not from -20 to 19")))?;
    let priority = scheduler.priority().unwrap_or(0);
    match policy {
        Policy::SchedFifo | Policy::SchedRr => ensure((1..=99).contains(&priority), || {
            fault("priority", format!("{priority} is not from 1 to 99"))
        })?,
        _ => ensure(priority == 0, || {
            let why = "can only be specified for SCHED_FIFO or SCHED_RR policy";
            fault("priority", why.into())
        })?,
    }
    let times = [*scheduler.runtime(), *scheduler.deadline(), *scheduler.period()];
    let [runtime, deadline, period] = times.map(Option::unwrap_or_default);
    if policy != Policy::SchedDeadline {
        return ensure((runtime, deadline, period) == (0, 0, 0), || {
            Fault::new("runtime/deadline/period can only be specified for SCHED_DEADLINE policy")
        });
    }
    let ordered = runtime > 0 && runtime <= deadline && (period == 0 || deadline <= period);
    ensure(ordered, || Fault::new("needs 0 < runtime <= deadline <= period"))
}

fn io_priority_is_legal(process: &Process) -> Verdict {
    let Some(io) = process.io_priority() else { return Ok(()) };
    let priority = io.priority();
    ensure((0..=7).contains(&priority), || {
        Fault::at("process.ioPriority.priority", format!("{priority} is not from 0 to 7"))
    })
}

fn affinity_is_legal(process: &Process) -> Verdict {
    let Some(affinity) = process.exec_cpu_affinity() else { return Ok(()) };
    let lists = [("initial", affinity.initial()), ("final", affinity.cpu_affinity_final())];
    for (member, list) in lists {
        for range in list.iter().flat_map(|list| list.split(',')) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let legal = matches!((first.parse::<u16>(), last.parse::<u16>()),
                (Ok(first), Ok(last)) if first <= last && last < 8192);
            ensure(legal, || {
                let field = format!("process.execCPUAffinity.{member}");
                Fault::at(field, format!("{range:?} is no CPU or range of CPUs"))
            })?;
        }
    }
    Ok(())
}

fn apparmor_is_there(asked: Asked<'_>) -> Verdict {
    let profile = asked.process().and_then(|process| set(process.apparmor_profile()));
    ensure(profile.is_none() || asked.host.lsm.apparmor, || {
        Fault::new(
            "apparmor profile is specified in config, but apparmor is disabled or not supported",
        )
        .hint("this kernel has no AppArmor: leave process.apparmorProfile out")
    })
}

fn selinux_is_there(asked: Asked<'_>) -> Verdict {
    let label = asked.process().and_then(|process| set(process.selinux_label()));
    ensure(label.is_none() || asked.host.lsm.selinux, || {
        Fault::new("selinux label is specified in config, but selinux is disabled or not supported")
            .hint("this kernel has no SELinux: leave process.selinuxLabel out")
    })
}
