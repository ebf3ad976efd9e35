//! The remedies, without the hosts that need them.

use super::super::{GIDS, UIDS};
use super::*;

fn lacks(map: &str, rows: &str) -> String {
    let user = User { name: "user".into(), uid: "1000".into(), id: 1000 };
    user.lacks(&UIDS, map, &ranges::rows(rows)).unwrap_or_else(|| "nothing".into())
}

#[test]
fn the_row_to_add_is_printed() {
    let map = "0 1000 1\n1 100000 65536\n";
    let whole = "the row `user:100000:65536` in /etc/subuid: \
                 `usermod --add-subuids 100000-165535 user`";
    assert_eq!(lacks(map, ""), format!("have root add {whole}"));
    assert_eq!(lacks(map, "user:100000:65536\n"), "nothing");
    assert_eq!(lacks(map, "1000:100000:65536\n"), "nothing");
    // Too small: the rest of it.
    let rest = lacks(map, "user:100000:1000\n");
    assert!(rest.starts_with("map the 1000 ids from 100000 on, which you have"), "{rest}");
    assert!(rest.contains("`user:101000:64536`"), "{rest}");
    // Two rows that touch are one range.
    assert_eq!(lacks(map, "user:100000:1000\nuser:101000:64536\n"), "nothing");
}

#[test]
fn ids_of_another_user_are_no_ones_to_add() {
    let words = lacks("0 100000 65536\n", "else:165000:10\n");
    assert_eq!(words, "/etc/subuid gives ids of these to else: map others");
}

#[test]
fn the_own_id_needs_no_row_only_alone() {
    assert_eq!(lacks("0 1000 1\n", ""), "nothing");
    let words = "of this machine's users you may map yourself alone: 1000";
    assert_eq!(lacks("0 1000 2\n", ""), words);
    // root's id is never offered.
    let rest = format!("{words}, and 65536 ids from 100000 on");
    assert_eq!(lacks("0 0 1\n", "user:100000:65536\n"), rest);
}

#[test]
fn a_tool_s_words_come_without_its_name() {
    let error = tool(&GIDS, Path::new("/nowhere"), "0 0 0\n", "newgidmap: it failed\nusage: …");
    assert_eq!(error.to_string(), "map ids newgidmap: it failed");
}

#[test]
fn a_refused_namespace_names_its_sysctl() {
    let with = |errno, name: &'static str, value: &'static str| {
        hint(errno, &move |path| path.ends_with(name).then(|| format!("{value}\n")))
    };
    let zero = with(libc::ENOSPC, "max_user_namespaces", "0");
    assert!(zero.contains("sysctl -w user.max_user_namespaces="), "{zero}");
    let full = with(libc::ENOSPC, "max_user_namespaces", "9");
    assert!(full.contains("limit is reached"), "{full}");
    let debian = with(libc::EPERM, "unprivileged_userns_clone", "0");
    assert!(debian.contains("sysctl -w kernel.unprivileged_userns_clone=1"), "{debian}");
    let ubuntu = with(libc::EACCES, "apparmor_restrict_unprivileged_userns", "1");
    assert!(ubuntu.contains("kernel.apparmor_restrict_unprivileged_userns=0"), "{ubuntu}");
    assert!(with(libc::EPERM, "none", "").contains("chroot"));
}
