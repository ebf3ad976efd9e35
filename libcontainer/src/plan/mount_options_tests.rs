//! Pins the option table and the words that contradict each other.

use super::*;

/// Every word the table must hold: runc 1.5's list, and `idmap`, `ridmap` of the specification.
const WORDS: &str = "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime \
    loud mand noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime \
    nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec \
    ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro \
    rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared \
    silent slave strictatime suid symfollow sync tmpcopyup unbindable";

#[test]
fn table_is_sorted_and_complete() {
    let names: Vec<&str> = OPTIONS.iter().map(|row| row.name).collect();
    assert_eq!(names.join(" "), WORDS.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(names.is_sorted(), "lookup is a binary search");
}

#[test]
fn every_row_is_found_and_changes_something() {
    for row in OPTIONS {
        assert_eq!(lookup(row.name), Some(row.effect));
        let parsed = Parsed::new(&[row.name]);
        assert_eq!(parsed.data, Vec::<String>::new(), "{} is not data", row.name);
        assert_eq!(parsed == Parsed::default(), row.name == "defaults", "{}", row.name);
    }
}

#[test]
fn a_flag_and_its_negation_share_one_bit() {
    for (set, clear) in [
        ("ro", "rw"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("noexec", "exec"),
        ("sync", "async"),
        ("mand", "nomand"),
        ("noatime", "atime"),
        ("nodiratime", "diratime"),
        ("relatime", "norelatime"),
        ("strictatime", "nostrictatime"),
        ("lazytime", "nolazytime"),
        ("iversion", "noiversion"),
        ("silent", "loud"),
        ("nosymfollow", "symfollow"),
    ] {
        let (Some(Set(bit)), Some(Clear(same))) = (lookup(set), lookup(clear)) else {
            panic!("{set}/{clear}");
        };
        assert_eq!(bit, same);
        assert_eq!(Parsed::new(&[set, clear]).flags, 0);
        assert_eq!(Parsed::new(&[set, clear]).cleared, bit);
        assert_eq!(Parsed::new(&[clear, set]).flags, bit);
        assert_eq!(Parsed::new(&[clear, set]).cleared, 0);
    }
}

#[test]
fn recursive_words_mirror_their_plain_ones() {
    for (word, set, clear) in [
        ("rro", attr::RDONLY, 0),
        ("rrw", 0, attr::RDONLY),
        ("rnosuid", attr::NOSUID, 0),
        ("rsuid", 0, attr::NOSUID),
        ("rnodev", attr::NODEV, 0),
        ("rdev", 0, attr::NODEV),
        ("rnoexec", attr::NOEXEC, 0),
        ("rexec", 0, attr::NOEXEC),
        ("rnodiratime", attr::NODIRATIME, 0),
        ("rdiratime", 0, attr::NODIRATIME),
        ("rnosymfollow", attr::NOSYMFOLLOW, 0),
        ("rsymfollow", 0, attr::NOSYMFOLLOW),
        ("rnoatime", attr::NOATIME, attr::ATIME),
        ("ratime", 0, attr::ATIME),
        ("rstrictatime", attr::STRICTATIME, attr::ATIME),
        ("rnostrictatime", 0, attr::ATIME),
        ("rrelatime", 0, attr::ATIME),
        ("rnorelatime", 0, attr::ATIME),
    ] {
        assert_eq!(Parsed::new(&[word]).recursive, Attrs { set, clear }, "{word}");
    }
    let both = Parsed::new(&["rnoatime", "rstrictatime", "rro"]).recursive;
    assert_eq!(both.set, attr::STRICTATIME | attr::RDONLY, "the later access time mode wins");
}

#[test]
fn propagation_words_keep_their_order() {
    let parsed = Parsed::new(&["rslave", "shared"]);
    assert_eq!(
        parsed.propagation,
        [
            Propagate { kind: Propagation::Slave, recursive: true },
            Propagate { kind: Propagation::Shared, recursive: false },
        ]
    );
    assert_eq!(propagation("runbindable").map(|p| p.recursive), Some(true));
    assert_eq!(propagation("ro"), None);
    assert_eq!(propagation("sharedd"), None);
}

#[test]
fn propagation_bits_are_the_kernels() {
    assert_eq!(Propagation::Unbindable.bits(), 0x2_0000);
    assert_eq!(Propagation::Private.bits(), 0x4_0000);
    assert_eq!(Propagation::Slave.bits(), 0x8_0000);
    assert_eq!(Propagation::Shared.bits(), 0x10_0000);
}

#[test]
fn unknown_words_are_data_split_at_commas_that_are_not_escaped() {
    let parsed = Parsed::new(&["mode=755,size=1k", "ro", r"lowerdir=/a\,b:/c", ",,", "RO"]);
    assert_eq!(parsed.data, ["mode=755", "size=1k", r"lowerdir=/a\,b:/c", "RO"]);
    assert_eq!(parsed.flags, ms::RDONLY);
}

#[test]
fn access_time_modes_rank_as_in_mount_2() {
    assert_eq!(attrs_of(ms::NOATIME | ms::STRICTATIME), attr::STRICTATIME);
    assert_eq!(attrs_of(ms::NOATIME | ms::RELATIME), attr::NOATIME);
    assert_eq!(attrs_of(ms::RELATIME | ms::RDONLY), attr::RDONLY);
    assert_eq!(
        attrs_of(ms::NOSUID | ms::NODEV | ms::NOEXEC | ms::NOSYMFOLLOW | ms::NODIRATIME),
        attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW | attr::NODIRATIME
    );
}
