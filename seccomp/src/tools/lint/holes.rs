//! What a profile as a whole lets through, and what it keeps from starting.

use super::facts::{BY_IO_URING, BY_RUNTIME, DANGEROUS, EQUIVALENT, TO_START};
use super::{Finding, list};
use crate::action::Action;
use crate::arch::Arch;
use crate::chain::Fate;
use crate::tools::{Filter, Reason};

/// Looks for them.
pub(super) fn look(
    filter: &Filter,
    host: &'static Arch,
    kernel: (u32, u32),
    found: &mut Vec<Finding>,
) {
    let open = filter.rules.default.lets_new_calls_pass();
    architectures(filter, host, open, found);
    let view = View { filter, host };
    view.clone3(found);
    if open {
        view.left_out(found);
        view.io_uring(found);
        let problem = format!("{} lets every call pass that no rule names", filter.rules.default);
        found.push(Finding::new("deny-list", "defaultAction", problem).note().remedy(
            "calls of later kernels will pass too: deny by default and allow what is needed",
        ));
    } else {
        view.dangers(kernel, found);
        view.start(found);
    }
}

fn architectures(filter: &Filter, host: &'static Arch, open: bool, found: &mut Vec<Finding>) {
    let has = |name: &str| filter.arches().any(|arch| arch.name == name);
    if open && has("SCMP_ARCH_X32") {
        let problem = "x32 programs can make calls of x86_64 by numbers that are in no table";
        found.push(
            Finding::new("x32", "architectures", problem)
                .remedy("leave SCMP_ARCH_X32 out: its calls are then refused"),
        );
    }
    let others: &[&str] = match host.name {
        "SCMP_ARCH_X86_64" => &["SCMP_ARCH_X86"],
        "SCMP_ARCH_AARCH64" => &["SCMP_ARCH_ARM"],
        "SCMP_ARCH_S390X" => &["SCMP_ARCH_S390"],
        "SCMP_ARCH_MIPS64" => &["SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"],
        "SCMP_ARCH_MIPSEL64" => &["SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"],
        "SCMP_ARCH_PPC64" => &["SCMP_ARCH_PPC"],
        _ => &[],
    };
    let missing: Vec<_> = others.iter().copied().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        let problem = format!("32-bit programs are killed: {} is not listed", list(&missing));
        found.push(
            Finding::new("architecture", "architectures", problem)
                .note()
                .remedy("list it, if such programs are to run"),
        );
    }
}

/// A profile on the host's own architecture.
struct View<'a> {
    filter: &'a Filter,
    host: &'static Arch,
}

impl View<'_> {
    /// What happens to a call whatever its arguments are; `None` when they matter, or when the
    /// architecture has no such call.
    fn always(&self, name: &str) -> Option<Action> {
        let nr = self.host.number(name)?;
        let rules = self.filter.rules_of(self.host)?;
        match rules.calls.get(&nr) {
            Some(Fate::When(_)) => None,
            _ => Some(self.filter.action(self.host, nr, &[0; 6])),
        }
    }

    fn passes(&self, name: &str) -> bool {
        self.always(name).is_some_and(Action::allows)
    }

    fn is_denied(&self, name: &str) -> bool {
        self.always(name).is_some_and(|action| !action.lets_new_calls_pass())
    }

    /// Where the rule stands that decides about a call.
    fn place(&self, name: &str) -> String {
        let verdict = self.host.number(name).map(|nr| self.filter.ask(self.host, nr, &[0; 6]));
        match verdict.map(|verdict| verdict.reason) {
            Some(Reason::Rule { rule, name }) => format!("syscalls[{rule}].names[{name}]"),
            _ => String::new(),
        }
    }

    /// A condition on the flags of clone is none while clone3 takes them from memory.
    fn clone3(&self, found: &mut Vec<Finding>) {
        let clone = self.host.number("clone");
        let rules = clone.map(|nr| self.filter.deciding(self.host, nr)).unwrap_or_default();
        if rules.is_empty() || !self.passes("clone3") {
            return;
        }
        let at = self.place("clone3");
        let problem = "clone is asked for its flags, but clone3, which does the same, passes";
        found.push(
            Finding::new("clone3", at, problem)
                .remedy("let clone3 fail with errnoRet 38 (ENOSYS): libraries then use clone"),
        );
    }

    /// Denied calls with a twin that passes.
    fn left_out(&self, found: &mut Vec<Finding>) {
        for group in EQUIVALENT {
            let denied = group.iter().copied().filter(|name| self.is_denied(name));
            let denied: Vec<_> = denied.collect();
            let passes = group.iter().copied().filter(|name| self.passes(name));
            let passes: Vec<_> = passes.collect();
            let (Some(first), false) = (denied.first(), passes.is_empty()) else { continue };
            let does = if passes.len() == 1 { "does" } else { "do" };
            let problem =
                format!("{}: denied, but {} {does} the same", list(&denied), list(&passes));
            found.push(
                Finding::new("left-out", self.place(first), problem).remedy("deny all of them"),
            );
        }
    }

    fn io_uring(&self, found: &mut Vec<Finding>) {
        let denied = BY_IO_URING.iter().copied().filter(|name| self.is_denied(name));
        let denied: Vec<_> = denied.collect();
        if let Some(first) = denied.first().filter(|_| self.passes("io_uring_setup")) {
            let problem = format!("{}: denied, but io_uring does it past filters", list(&denied));
            found.push(
                Finding::new("io-uring", self.place(first), problem)
                    .remedy("deny io_uring_setup, io_uring_enter and io_uring_register"),
            );
        }
    }

    fn dangers(&self, kernel: (u32, u32), found: &mut Vec<Finding>) {
        for (name, why) in DANGEROUS.into_iter().filter(|row| self.passes(row.0)) {
            let problem = format!("{name} is allowed: it {why}");
            let finding = Finding::new("dangerous", self.place(name), problem);
            found.push(finding.remedy("drop it, or allow the arguments that are needed"));
        }
        if self.passes("ptrace") && kernel < (4, 8) {
            let problem = "ptrace is allowed: before Linux 4.8 it changes calls after the filter";
            found.push(
                Finding::new("dangerous", self.place("ptrace"), problem)
                    .remedy("drop it, or ask for \"minKernel\": \"4.8\""),
            );
        }
    }

    /// One of each row must pass.
    fn missing<'a>(&self, rows: &[&'a [&'a str]]) -> Vec<&'a str> {
        let number = |name: &&&str| self.host.number(name).is_some();
        let passes = |name: &&'a str| match self.host.number(name) {
            Some(nr) => self.always(name).map_or_else(
                || !self.filter.deciding(self.host, nr).is_empty(),
                Action::lets_new_calls_pass,
            ),
            None => false,
        };
        let rows = rows.iter().filter(|row| !row.iter().any(passes));
        rows.filter_map(|row| row.iter().find(number).copied()).collect()
    }

    fn start(&self, found: &mut Vec<Finding>) {
        if !self.missing(&[&["execve"]]).is_empty() {
            let problem = "execve is denied: no program can be started";
            let finding = Finding::new("no-execve", self.place("execve"), problem).error();
            found.push(finding.remedy("allow it"));
            return;
        }
        let missing = self.missing(&TO_START);
        if !missing.is_empty() {
            let problem = format!("{}: programs of C libraries need it to start", list(&missing));
            found.push(Finding::new("start", "syscalls", problem).remedy("allow it"));
        }
        let missing = self.missing(&BY_RUNTIME);
        if !missing.is_empty() {
            let problem =
                format!("{}: needed by the runtime without noNewPrivileges", list(&missing));
            found.push(
                Finding::new("runtime", "syscalls", problem)
                    .remedy("allow it, or set process.noNewPrivileges"),
            );
        }
    }
}
