//! `config-linux.md`: memory policy, sysctl.

use serde_json::json;

use crate::{
    case::{Case, Verdict, ensure, must, skip},
    runtime::Runtime,
};

pub(crate) const CASES: &[Case] = &[
    must(
        "config-linux/136",
        "#configLinuxMemoryPolicy",
        "mode (string, REQUIRED) -",
        "numa_maps says the policy; a policy without mode is refused",
        memory_policy,
    ),
    must(
        "config-linux/137",
        "#configLinuxSysctl",
        "sysctl (object, OPTIONAL) allows kernel parameters to be modified at runtime for the container.",
        "parameters of ipc, uts and network namespace have the values",
        sysctl,
    ),
];

fn memory_policy(runtime: &Runtime) -> Verdict {
    const MAPS: &str = "read /proc/self/numa_maps";
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        skip!("NUMA in the kernel");
    }
    let policy = json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"});
    let ran = runtime.bundle()?.set("/linux/memoryPolicy", policy).ask([MAPS]).run()?;
    let maps = ran.facts.text(MAPS)?;
    ensure!(maps.contains("interleave:0"), "it is {:?}", maps.lines().next().unwrap_or_default());
    let bundle = runtime.bundle()?.set("/linux/memoryPolicy", json!({"nodes": "0"}));
    bundle.refused(true, "a memory policy without mode")
}

fn sysctl(runtime: &Runtime) -> Verdict {
    let values = json!({
        "kernel.shm_rmid_forced": "1", "net.ipv4.ip_forward": "1", "kernel.domainname": "oc.test",
    });
    let questions = [
        "read /proc/sys/kernel/shm_rmid_forced",
        "read /proc/sys/net/ipv4/ip_forward",
        "read /proc/sys/kernel/domainname",
    ];
    let ran = runtime.bundle()?.set("/linux/sysctl", values).ask(questions).run()?;
    for (question, wanted) in questions.iter().zip(["1", "1", "oc.test"]) {
        let got = ran.facts.text(question)?;
        ensure!(got == wanted, "`{question}` is {got}, not {wanted}");
    }
    Ok(())
}
