//! Commands at the same time about the same thing: one of the orders in which they could have come,
//! and nothing left.

use std::thread;

use crate::host::{Host, Said};

/// How often each race is run.
const ROUNDS: usize = 6;

/// Says all at once; what each said.
fn at_once(host: &Host, lines: &[&str]) -> Vec<Said> {
    let said = thread::scope(|scope| {
        let started: Vec<_> = lines.iter().map(|line| scope.spawn(|| host.say(line))).collect();
        started.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for (line, said) in lines.iter().zip(&said) {
        assert!((0..=127).contains(&said.code), "{line}: {said:?}");
        assert!(!said.err.contains("panicked"), "{line}: {said:?}");
    }
    said
}

#[test]
fn an_image_is_not_removed_under_a_container_that_is_made() {
    let Some(host) = Host::bare() else { return };
    for round in 0..ROUNDS {
        host.import("app");
        let create = "create --network none -v /anonymous app true";
        let said = at_once(&host, &[create, "rmi app", create, "image prune -af", create]);
        let ids = host.ids();
        for made in [&said[0], &said[2], &said[4]] {
            if made.code == 0 {
                assert_eq!(
                    host.good(&format!("start -a {}", made.out.trim())),
                    "",
                    "round {round}"
                );
                host.good(&format!("rm -v {}", made.out.trim()));
            } else {
                // Before, in the middle, or all gone and no registry to ask.
                assert!(made.err.contains("app"), "{made:?}");
            }
        }
        host.is_clean(&ids, &[], "made and removed");
        host.good("image prune -af");
    }
}

#[test]
fn a_volume_is_not_removed_under_a_container_that_is_made() {
    let Some(host) = Host::new() else { return };
    for _ in 0..ROUNDS {
        host.good("volume create data");
        let create = "create --network none -v data:/data app cat /data/seed";
        let said = at_once(&host, &["volume rm data", create, "volume prune -af", create]);
        for made in [&said[1], &said[3]] {
            assert_eq!(made.code, 0, "a volume that is missing is made: {made:?}");
            host.good("volume inspect data");
            assert_eq!(host.good(&format!("start -a {}", made.out.trim())), "of the image");
            host.good(&format!("rm {}", made.out.trim()));
        }
        host.good("volume rm data");
        host.is_clean(&host.ids(), &[], "made and removed");
    }
}

#[test]
fn a_name_has_one_owner() {
    let Some(host) = Host::new() else { return };
    for _ in 0..ROUNDS {
        let create = "create --network none --name web app true";
        let said = at_once(&host, &[create; 5]);
        let made: Vec<_> = said.iter().filter(|said| said.code == 0).collect();
        assert_eq!(made.len(), 1, "{said:?}");
        assert!(
            said.iter().filter(|s| s.code != 0).all(|s| s.err.contains("Conflict")),
            "{said:?}"
        );
        host.good("create --network none --name other app true");
        let said = at_once(&host, &["rename web new", "rename other new"]);
        assert!((said[0].code == 0) != (said[1].code == 0), "{said:?}");
        at_once(&host, &["rename new web", "rename web second", "rm -f new", "rename other new"]);
        let names = host.good("ps -a --format {{.Names}}");
        let links = host.list("root/names");
        assert_eq!(
            names.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>(),
            links
        );
        host.good("container prune -f");
        host.is_clean(&host.ids(), &[], "renamed");
    }
}

#[test]
fn of_two_starts_one_starts() {
    let Some(host) = Host::new() else { return };
    for _ in 0..ROUNDS {
        let id = host.good("create --network none --name web app sh -c echo~x;sleep~1000");
        for said in at_once(&host, &["start web", "start web", "start web"]) {
            assert_eq!((said.code, said.out.as_str()), (0, "web\n"), "{said:?}");
        }
        assert_eq!(host.good("top web").lines().filter(|line| line.contains("sleep")).count(), 1);
        crate::host::until("its word", || host.good("logs web") == "x");
        host.good("rm -f web");
        host.is_clean(&[id].into(), &[], "started");
    }
}

#[test]
fn remove_and_start_at_once_leave_nothing_behind() {
    let Some(host) = Host::new() else { return };
    for _ in 0..ROUNDS {
        let id = host.good("create -p 8080:80 --name web app sleep 1000");
        let said = at_once(&host, &["start web", "rm -f web", "start web"]);
        assert_eq!(said[1].code, 0, "{said:?}");
        assert_eq!(host.good("ps -aq"), "", "{said:?}");
        host.is_clean(&[id].into(), &[], "removed while it started");
    }
}

#[test]
fn restart_and_stop_at_once_agree_in_the_end() {
    let Some(host) = Host::new() else { return };
    for _ in 0..ROUNDS {
        let id = host.good("run -d --restart always --network none --name web app sleep 1000");
        let lines = ["restart -t 0 web", "stop -t 0 web", "restart -t 0 web", "kill web"];
        for said in at_once(&host, &lines).iter().take(3) {
            assert_eq!(said.code, 0, "{said:?}");
        }
        let state = host.good("inspect --format {{.State.Status}} web");
        let lives = crate::host::cgroups(&id).iter().any(|dir| {
            std::fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
        });
        assert_eq!(lives, state == "running", "{state}");
        host.good("start web");
        host.good("rm -f web");
        host.is_clean(&[id].into(), &[], "restarted and stopped");
    }
}
