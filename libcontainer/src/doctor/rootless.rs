//! Rules about containers of an ordinary user.

use super::{Facts, Program, Rule, Status, Verdict, info, lack, ok, warn};
use crate::create::idmap::ranges::{Row, meet, rows};
use crate::host::cgroup::CgroupMode;

/// Ids of an image: 0 to 65535.
const IDS: u64 = 65_536;
/// What systemd can hand down to a user, and engines set limits with.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];
const DELEGATE: &str = "mkdir -p /etc/systemd/system/user@.service.d && printf \
    '[Service]\\nDelegate=cpu cpuset io memory pids\\n' \
    >/etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then log in anew";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "rootless-user",
        judge: user,
        why: "ids, runtime directory and cgroups are each user's own",
        fix: "run corten doctor --rootless as the user, or by sudo from the user's shell",
    },
    Rule {
        id: "subuid",
        judge: |facts| ids(facts, "uid"),
        why: "images have files of many users; a container maps them to these ids",
        fix: "",
    },
    Rule {
        id: "subgid",
        judge: |facts| ids(facts, "gid"),
        why: "images have files of many groups; a container maps them to these ids",
        fix: "",
    },
    Rule {
        id: "newuidmap",
        judge: |facts| helper(facts, "newuidmap"),
        why: "the kernel lets a user map more than one id only by this program",
        fix: "apt-get install uidmap; dnf install shadow-utils",
    },
    Rule {
        id: "newgidmap",
        judge: |facts| helper(facts, "newgidmap"),
        why: "the kernel lets a user map more than one id only by this program",
        fix: "apt-get install uidmap; dnf install shadow-utils",
    },
    Rule {
        id: "no-new-privs",
        judge: privileges,
        why: "newuidmap gets its rights by its setuid bit or file capabilities",
        fix: "start the shell without no_new_privs (systemd: NoNewPrivileges=no, docker: without \
              --security-opt no-new-privileges)",
    },
    Rule {
        id: "proc-visible",
        judge: visible,
        why: "in a user namespace a new /proc can be mounted only where the host's is all visible",
        fix: "umount what covers it; in a container: run the outer one with --security-opt \
              systempaths=unconfined (docker) or unmask=ALL (podman)",
    },
    Rule {
        id: "runtime-dir",
        judge: runtime_dir,
        why: "the state of a user's containers is there, and the socket of the user's systemd",
        fix: "",
    },
    Rule {
        id: "user-systemd",
        judge: bus,
        why: "it makes the cgroups of a user's containers (--systemd-cgroup)",
        fix: "apt-get install dbus-user-session, then log in anew through PAM (ssh, machinectl \
              shell, not su)",
    },
    Rule {
        id: "delegation",
        judge: delegation,
        why: "a limit of a controller that the user did not get is refused",
        fix: DELEGATE,
    },
    Rule {
        id: "linger",
        judge: linger,
        why: "without it a user's containers end when the user has logged out",
        fix: "",
    },
    Rule {
        id: "fuse",
        judge: fuse,
        why: "before Linux 5.11 layers of images are put together by fuse-overlayfs",
        fix: "modprobe fuse; apt-get install fuse-overlayfs",
    },
    Rule {
        id: "user-network",
        judge: network,
        why: "a user's containers reach the network through such a program and a tun device",
        fix: "apt-get install passt; slirp4netns where there is none",
    },
    Rule {
        id: "ports",
        judge: ports,
        why: "a user can publish ports from this one on",
        fix: "sysctl -w net.ipv4.ip_unprivileged_port_start=80",
    },
    Rule {
        id: "ping",
        judge: ping,
        why: "ping without CAP_NET_RAW needs the group of its user in this range",
        fix: "sysctl -w net.ipv4.ping_group_range='0 2147483647'",
    },
];

fn user(facts: &Facts) -> Option<Verdict> {
    match (&facts.user, facts.rootless) {
        (_, false) => None,
        (Some(user), true) => ok(format!("{}, uid {}", user.name, user.uid)),
        (None, true) => lack("root asks, and neither SUDO_UID nor PKEXEC_UID names a user"),
    }
}

fn ids(facts: &Facts, kind: &str) -> Option<Verdict> {
    let user = facts.user.as_ref()?;
    let file = format!("/etc/sub{kind}");
    let switch = facts.text("/etc/nsswitch.conf").unwrap_or_default();
    let elsewhere = switch.lines().filter_map(|line| line.trim().strip_prefix("subid:"));
    if let Some(source) = elsewhere.map(str::trim).find(|source| !source.starts_with("files")) {
        let fix = format!("getsubids {} shows them", user.name);
        let what = format!("{file} is not asked: /etc/nsswitch.conf says subid: {source}");
        return Verdict::fixed_by(Status::Info, what, fix);
    }
    let number = user.uid.to_string();
    let is_ours = |row: &&Row| row.owner == user.name || row.owner == number;
    let all = rows(facts.text(&file).unwrap_or_default());
    let (ours, others): (Vec<&Row>, Vec<_>) = all.iter().partition(is_ours);
    let count: u64 = ours.iter().map(|row| row.range.count).sum();
    if count < IDS {
        // Behind all others, at the usual distance.
        let first = all.iter().map(|row| row.range.end()).max().unwrap_or(0).max(100_000);
        let last = first + IDS - 1;
        let fix = format!("usermod --add-sub{kind}s {first}-{last} {}", user.name);
        let what = match ours.is_empty() {
            true => format!("{file} has no row for {}", user.name),
            false => format!("{file} gives {} {count} ids, images need {IDS}", user.name),
        };
        return Verdict::fixed_by(Status::Lack, what, fix);
    }
    let shared = |other: &&&Row| ours.iter().any(|own| meet(own.range, other.range));
    if let Some(other) = others.iter().find(shared) {
        let what = format!("{file} gives ids of {} to {} as well", user.name, other.owner);
        let fix = format!("edit {file}: a container of one could write the files of the other");
        return Verdict::fixed_by(Status::Warn, what, fix);
    }
    ok(format!("{count} ids for {}", user.name))
}

fn helper(facts: &Facts, name: &str) -> Option<Verdict> {
    facts.user.as_ref()?;
    let Some(Program { path, owner, mode, caps }) = facts.program(name) else {
        return lack(format!("{name} is not installed"));
    };
    let nosuid = facts.mount_of(path).is_some_and(|m| m.options.split(',').any(|o| o == "nosuid"));
    if nosuid {
        let fix = format!("mount -o remount,suid {}", facts.mount_of(path)?.point);
        let what = format!("{path} is on a file system that is mounted nosuid");
        return Verdict::fixed_by(Status::Lack, what, fix);
    }
    let setuid = *owner == 0 && mode & 0o4000 != 0;
    match (setuid, caps) {
        (true, _) => ok(format!("{path}, setuid root")),
        (false, true) => ok(format!("{path}, with file capabilities")),
        (false, false) => {
            let what = format!("{path} has neither the setuid bit nor file capabilities");
            Verdict::fixed_by(Status::Lack, what, format!("chown root {path} && chmod u+s {path}"))
        }
    }
}

fn privileges(facts: &Facts) -> Option<Verdict> {
    facts.user.as_ref()?;
    match facts.status("NoNewPrivs:")? {
        "0" => ok("programs can gain rights"),
        _ => lack("we run under no_new_privs"),
    }
}

/// Mounts below /proc, but those that hide nothing (`mount_too_revealing` of the kernel).
fn visible(facts: &Facts) -> Option<Verdict> {
    facts.user.as_ref()?;
    let covers = |point: &str| {
        let inside = point.strip_prefix("/proc/");
        inside.is_some_and(|inside| !inside.starts_with("sys/fs/"))
    };
    let over: Vec<_> =
        facts.mounts.iter().map(|m| m.point.as_str()).filter(|point| covers(point)).collect();
    if over.is_empty() {
        return ok("/proc is all visible");
    }
    lack(format!("mounts hide a part of /proc: {}", over.join(", ")))
}

fn runtime_dir(facts: &Facts) -> Option<Verdict> {
    let user = facts.user.as_ref()?;
    let (path, found) = &user.runtime_dir;
    match found {
        None => Verdict::fixed_by(
            Status::Lack,
            format!("{path} is not there"),
            format!("loginctl enable-linger {}; export XDG_RUNTIME_DIR={path}", user.name),
        ),
        Some((owner, _)) if *owner != user.uid => Verdict::fixed_by(
            Status::Lack,
            format!("{path} belongs to uid {owner}"),
            format!("export XDG_RUNTIME_DIR=/run/user/{}", user.uid),
        ),
        Some((_, mode)) if mode & 0o077 != 0 => Verdict::fixed_by(
            Status::Warn,
            format!("{path} is open to others"),
            format!("chmod 700 {path}"),
        ),
        Some(_) => ok(path.clone()),
    }
}

fn bus(facts: &Facts) -> Option<Verdict> {
    let user = facts.user.as_ref()?;
    facts.systemd.as_ref()?;
    match &user.systemd {
        Ok(0) => ok(format!("{}'s systemd is there", user.name)),
        Ok(version) => ok(format!("{}'s systemd {version} answers", user.name)),
        Err(why) => warn(format!("{}'s systemd does not answer: {why}", user.name)),
    }
}

fn delegation(facts: &Facts) -> Option<Verdict> {
    let user = facts.user.as_ref()?;
    if facts.host.cgroup.mode != CgroupMode::Unified {
        let what = "cgroup v1 cannot be handed to users: their containers have no limits";
        let fix = "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and reboot";
        return Verdict::fixed_by(Status::Warn, what, fix);
    }
    let Some(text) = facts.text(&user.controllers()) else {
        let what = format!("{}'s systemd has no cgroup: there can be no limits", user.name);
        let fix = format!("loginctl enable-linger {}", user.name);
        return Verdict::fixed_by(Status::Warn, what, fix);
    };
    let got: Vec<_> = text.split_whitespace().collect();
    let all = facts.text("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let host = |name: &&str| all.split_whitespace().any(|word| word == *name);
    let missing = CONTROLLERS.into_iter().filter(|name| !got.contains(name) && host(name));
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return ok(got.join(", "));
    }
    warn(format!("{} did not get {}", user.name, missing.join(", ")))
}

fn linger(facts: &Facts) -> Option<Verdict> {
    let user = facts.user.as_ref()?;
    facts.systemd.as_ref()?;
    if user.linger {
        return ok(format!("{}'s services outlive the login", user.name));
    }
    let what = format!("{}'s services end with the login", user.name);
    Verdict::fixed_by(Status::Info, what, format!("loginctl enable-linger {}", user.name))
}

fn fuse(facts: &Facts) -> Option<Verdict> {
    facts.user.as_ref()?;
    if facts.host.kernel.at_least((5, 11)) {
        return ok("overlayfs can be mounted in user namespaces");
    }
    match (facts.has("/dev/fuse"), facts.program("fuse-overlayfs")) {
        (true, Some(_)) => ok("fuse-overlayfs"),
        (false, _) => warn("no /dev/fuse"),
        (_, None) => warn("fuse-overlayfs is not installed"),
    }
}

fn network(facts: &Facts) -> Option<Verdict> {
    facts.user.as_ref()?;
    if !facts.has("/dev/net/tun") {
        return Verdict::fixed_by(Status::Warn, "no /dev/net/tun", "modprobe tun");
    }
    let found = ["pasta", "slirp4netns"].iter().find_map(|name| facts.program(name));
    match found {
        Some(program) => ok(program.path.clone()),
        None => warn("neither pasta nor slirp4netns is installed"),
    }
}

fn ports(facts: &Facts) -> Option<Verdict> {
    facts.user.as_ref()?;
    let first = facts.number("/proc/sys/net/ipv4/ip_unprivileged_port_start")?;
    let what = format!("ports from {first} on can be published");
    if first <= 80 { ok(what) } else { info(what) }
}

fn ping(facts: &Facts) -> Option<Verdict> {
    facts.user.as_ref()?;
    let range = facts.text("/proc/sys/net/ipv4/ping_group_range")?;
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else { return None };
    let what = format!("net.ipv4.ping_group_range is {first} to {last}");
    if first <= last { ok(what) } else { info(format!("{what}, which is nobody")) }
}
