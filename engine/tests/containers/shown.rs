//! `inspect` and `ps`: what is shown of a container, and of what does not exist.

use crate::pier::Pier;

#[test]
fn what_does_not_exist_is_told_behind_what_does() {
    let Some(pier) = Pier::new() else { return };
    pier.start("web", &["-v", "data:/data"], "sleep 1000");
    let all = ["inspect", "-f", "{{if .Name}}{{.Name}}{{end}}"];
    let said = pier.say(&[&all[..], &["web", "nope", "bridge", "data", "wbe"]].concat());
    assert_eq!((said.code, said.out.as_str()), (1, "/web\nbridge\ndata\n"), "{said:?}");
    let words =
        "pier: No such object: nope\npier: No such object: wbe\n  help: did you mean web?\n";
    assert_eq!(said.err, words);
    let kinds = [
        ("container", "No such container: nope"),
        ("image", "no such image: nope"),
        ("network", "network nope not found"),
        ("volume", "get nope: no such volume"),
    ];
    for (kind, words) in kinds {
        for args in [vec!["inspect", "--type", kind, "nope"], vec![kind, "inspect", "nope"]] {
            let said = pier.say(&args);
            assert_eq!((said.code, said.out.as_str()), (1, "[]\n"), "{args:?}");
            assert!(said.err.contains(words), "{said:?}");
        }
        let said = pier.say(&[kind, "inspect", "-f", "{{.Name}}", "nope"]);
        assert_eq!((said.code, said.out.as_str()), (1, "\n"), "{kind}");
    }
    assert_eq!(pier.say(&["inspect", "-f", "{{", "web"]).code, 64);
    let said = pier.say(&["inspect", "-f", "{{.Nope}}", "web"]);
    assert_eq!((said.code, said.out.as_str()), (1, "\n"));
    let said = pier.say(&["inspect", "--type", "pod", "web"]);
    assert!(said.code == 1 && said.err.contains("unknown type: \"pod\""), "{said:?}");
    assert_ne!(pier.out(&["inspect", "-s", "-f", "{{.SizeRootFs}}", "web"]), "0");
    pier.say(&["rm", "-f", "web"]);
    pier.out(&["volume", "rm", "data"]);
}

/// A member of `HostConfig` as JSON.
fn member(pier: &Pier, name: &str, member: &str) -> String {
    pier.out(&["inspect", "-f", &format!("{{{{json .HostConfig.{member}}}}}"), name])
}

#[test]
fn host_config_is_empty_as_dockers_is() {
    let Some(pier) = Pier::new() else { return };
    pier.start("plain", &[], "sleep 1000");
    let plain = [
        ("Binds", "null"),
        ("CapAdd", "null"),
        ("Dns", "[]"),
        ("ExtraHosts", "null"),
        ("Devices", "[]"),
        ("Ulimits", "[]"),
        ("PidsLimit", "null"),
        ("MemorySwappiness", "null"),
        ("VolumesFrom", "null"),
        ("BlkioDeviceReadBps", "[]"),
        ("SecurityOpt", "null"),
        ("CpuPeriod", "0"),
        (
            "ReadonlyPaths",
            "[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]",
        ),
    ];
    for (name, value) in plain {
        assert_eq!(member(&pier, "plain", name), value, "{name}");
    }
}

#[test]
fn host_config_repeats_what_was_asked() {
    let Some(pier) = Pier::new() else { return };
    pier.start("plain", &[], "sleep 1000");
    let flags = "--tmpfs /t:size=1m -v data:/v:ro -v /anon --mount type=tmpfs,target=/m,tmpfs-size=1m \
         --volumes-from plain -m 64m --memory-swap 128m --cpus 0.5 --pids-limit 50 \
         --device /dev/null:/dev/x:r --device-cgroup-rule c_1:3_r --ulimit core=5:6 \
         --sysctl kernel.msgmax=8192 --cap-add net_admin --cap-drop chown --group-add 5 \
         --security-opt no-new-privileges --oom-score-adj 5 --restart on-failure:3 --init";
    let flags: Vec<String> = flags.split_whitespace().map(|word| word.replace('_', " ")).collect();
    let flags: Vec<String> =
        flags.into_iter().map(|word| word.replace("net admin", "net_admin")).collect();
    pier.start("full", &flags.iter().map(String::as_str).collect::<Vec<_>>(), "sleep 1000");
    let full = [
        ("Tmpfs", "{\"/t\":\"size=1m\"}"),
        ("Binds", "[\"data:/v:ro\"]"),
        (
            "Mounts",
            "[{\"Target\":\"/m\",\"TmpfsOptions\":{\"SizeBytes\":1048576},\"Type\":\"tmpfs\"}]",
        ),
        ("VolumesFrom", "[\"plain\"]"),
        ("Memory", "67108864"),
        ("MemorySwap", "134217728"),
        ("NanoCpus", "500000000"),
        ("PidsLimit", "50"),
        ("DeviceCgroupRules", "[\"c 1:3 r\"]"),
        ("Ulimits", "[{\"Hard\":6,\"Name\":\"core\",\"Soft\":5}]"),
        ("Sysctls", "{\"kernel.msgmax\":\"8192\"}"),
        ("CapAdd", "[\"CAP_NET_ADMIN\"]"),
        ("CapDrop", "[\"CAP_CHOWN\"]"),
        ("GroupAdd", "[\"5\"]"),
        ("SecurityOpt", "[\"no-new-privileges\"]"),
        ("OomScoreAdj", "5"),
        ("Init", "true"),
        ("RestartPolicy", "{\"MaximumRetryCount\":3,\"Name\":\"on-failure\"}"),
    ];
    for (name, value) in full {
        assert_eq!(member(&pier, "full", name), value, "{name}");
    }
    let device = member(&pier, "full", "Devices");
    assert!(device.contains("\"PathInContainer\":\"/dev/x\""), "{device}");
    let listed = pier.out(&[
        "ps",
        "-f",
        "name=full",
        "--format",
        "{{.Mounts}} {{.LocalVolumes}} {{.Networks}}",
    ]);
    assert!(listed.ends_with(" 2 none") && listed.contains("data"), "{listed}");
}

#[test]
fn programs_of_exec_are_shown_while_they_run() {
    let Some(pier) = Pier::new() else { return };
    pier.start("web", &[], "sleep 1000");
    assert_eq!(pier.inspect("web", "ExecIDs"), "[]");
    pier.out(&["exec", "-d", "web", "sleep", "1000"]);
    let ids = pier.inspect("web", "ExecIDs");
    assert_eq!(ids.len(), 66, "{ids}");
    pier.out(&["exec", "web", "true"]);
    assert_eq!(pier.inspect("web", "ExecIDs"), ids);
    pier.out(&["stop", "-t", "0", "web"]);
    assert_eq!(pier.inspect("web", "ExecIDs"), "[]");
}

#[test]
fn create_and_run_refuse_in_dockers_words_and_codes() {
    let Some(pier) = Pier::new() else { return };
    let rootfs = pier.rootfs();
    let say = |verb: &str, flags: &[&str]| {
        let head = [&[verb, "--network", "none", "--rootfs"], flags].concat();
        pier.say(&[&head[..], &[&rootfs, "true"]].concat())
    };
    let cases: [(&[&str], &str); 4] = [
        (&["--name", "a b"], "Invalid container name (a b)"),
        (&["--cpus", "100000"], "Range of CPUs is from 0.01 to "),
        (&["--cpu-period", "1"], "CPU cfs period can not be less than 1ms"),
        (&["--cpu-quota", "1"], "CPU cfs quota can not be less than 1ms"),
    ];
    for (flags, words) in cases {
        let (run, create) = (say("run", flags), say("create", flags));
        assert_eq!((run.code, create.code), (125, 1), "{flags:?}: {run:?} {create:?}");
        assert!(run.err.contains(words) && create.err.contains(words), "{run:?}");
    }
    assert_eq!(say("create", &["-m", "much"]).code, 125);
    assert_eq!(say("create", &["--no-such-flag"]).code, 125);
    // The tests' own mounts are private.
    let own = pier.path("own");
    std::fs::create_dir(&own).unwrap();
    let own = own.display().to_string();
    rustix::mount::mount_bind(&own, &own).unwrap();
    let alone = rustix::mount::MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change(&own, alone).unwrap();
    for (word, words) in [("rshared", "a shared mount"), ("slave", "a shared or slave mount")] {
        let said = say("run", &["--rm", "-v", &format!("{own}:/own:{word}")]);
        let words = format!("path {own} is mounted on {own} but it is not {words}");
        assert!(said.code == 125 && said.err.contains(&words), "{said:?}");
    }
    rustix::mount::unmount(&own, rustix::mount::UnmountFlags::empty()).unwrap();
}
