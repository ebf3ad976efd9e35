//! `config-linux.md`: network devices. They are made in the network namespace of this run.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    bundle::Bundle,
    case::{Case, Not, Verdict, ensure, must, other, skip},
    cases::kit::hold,
    runtime::Runtime,
    world::{output, which},
};

const DEVICES: &str = "#configLinuxNetworkDevices";
const OWNERS: &str = "#namespace-lifecycle-and-container-termination";

pub(crate) const CASES: &[Case] = &[
    must(
        "config-linux/057",
        DEVICES,
        "netDevices (object, OPTIONAL) - A set of network devices that MUST be made available in the container.",
        "a device of the host is in the container, and no longer outside",
        moved,
    ),
    must(
        "config-linux/058",
        DEVICES,
        "name (string, OPTIONAL) - the name of the network device inside the container namespace. If not specified, the host name is used.",
        "the device has the new name",
        renamed,
    ),
    must(
        "config-linux/059",
        DEVICES,
        "The runtime MUST check if moving the network interface to the container namespace is possible. If a network device with the specified name already exists in the container namespace, the runtime MUST generate an error",
        "a second device of one name, and a device that does not exist, are refused",
        impossible,
    ),
    must(
        "config-linux/060",
        DEVICES,
        "In that case, the runtime MUST allow the move, and the kernel will generate a unique name for the interface within the container's network namespace.",
        "a name with %d gets a number",
        template,
    ),
    must(
        "config-linux/061",
        DEVICES,
        "The runtime MUST preserve existing network interface attributes, including all permanent IP addresses (IFA_F_PERMANENT flag) of any family with global scope (RT_SCOPE_UNIVERSE value)",
        "address and MTU are as before the move",
        preserved,
    ),
    must(
        "config-linux/062",
        DEVICES,
        "The runtime MUST set the network device state to \"up\" after moving it to the network namespace",
        "the device is up",
        up,
    ),
    other(
        "config-linux/063",
        OWNERS,
        "The runtime MUST NOT actively manage the interface's lifecycle and configuration within the container's network namespace.",
        "nobody that can be seen: what a runtime does after start has no moment to look at; the next sentence is the part that shows",
    ),
    must(
        "config-linux/064",
        OWNERS,
        "The runtime MUST NOT attempt to move the interface out of the namespace before deletion.",
        "after delete the device is not back",
        not_moved_back,
    ),
];

fn ip(words: &str) -> Result<String, Not> {
    Ok(output(Command::new("ip").args(words.split(' ')))?)
}

/// One end of a veth pair in our network namespace (bridges and dummies are not movable or not
/// everywhere); with it goes its peer.
struct Link(String);

impl Link {
    fn new(runtime: &Runtime) -> Result<Self, Not> {
        if which("ip").is_none() {
            skip!("ip (iproute2) to make a network device");
        }
        let link = Self(format!("oc{}", runtime.number()));
        let add = ["link", "add", &link.0, "type", "veth", "peer", "name", &format!("{}p", link.0)];
        if output(Command::new("ip").args(add)).is_err() {
            skip!("veth in the kernel, to have a network device");
        }
        Ok(link)
    }

    fn here(&self) -> bool {
        std::path::Path::new("/sys/class/net").join(&self.0).exists()
            || output(Command::new("ip").args(["link", "show", &self.0])).is_ok()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Both are gone with the container that one was moved into, or with the first command.
        for name in [self.0.clone(), format!("{}p", self.0)] {
            let _ = output(Command::new("ip").args(["link", "del", &name]));
        }
    }
}

fn bundle<'r>(runtime: &'r Runtime, link: &Link, device: Value) -> Result<Bundle<'r>, Not> {
    Ok(runtime.bundle()?.set(&format!("/linux/netDevices/{}", link.0), device))
}

/// What the container says of its interfaces.
fn interfaces(bundle: Bundle<'_>) -> Result<Vec<Value>, Not> {
    let ran = bundle.ask(["interfaces"]).run()?;
    Ok(ran.facts.ok("interfaces")?.as_array().cloned().unwrap_or_default())
}

fn named<'v>(list: &'v [Value], name: &str) -> Result<&'v Value, Not> {
    let found = list.iter().find(|interface| interface["name"] == name);
    found.ok_or_else(|| Not::Fail(format!("there is no {name} among {list:?}")))
}

fn moved(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    let container = hold(bundle(runtime, &link, json!({}))?, &["interfaces"])?;
    let facts = container.facts();
    let list = facts.ok("interfaces")?.as_array().cloned().unwrap_or_default();
    named(&list, &link.0)?;
    ensure!(!link.here(), "the device is still outside");
    Ok(())
}

fn renamed(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    let list = interfaces(bundle(runtime, &link, json!({"name": "inside0"}))?)?;
    named(&list, "inside0").map(drop)
}

fn impossible(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    let taken = bundle(runtime, &link, json!({"name": "lo"}))?;
    taken.refused(false, "a device that is to be called lo")?;
    let absent = runtime.bundle()?.set("/linux/netDevices", json!({"oc-absent": {}}));
    absent.refused(false, "a device that does not exist")
}

fn template(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    let list = interfaces(bundle(runtime, &link, json!({"name": "eth%d"}))?)?;
    named(&list, "eth0").map(drop)
}

fn preserved(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    ip(&format!("addr add 192.0.2.9/24 dev {}", link.0))?;
    ip(&format!("link set {} mtu 1280", link.0))?;
    let bundle = bundle(runtime, &link, json!({}))?;
    let mtu = format!("read /sys/class/net/{}/mtu", link.0);
    let ran = bundle.ask(["interfaces", &mtu]).run()?;
    let list = ran.facts.ok("interfaces")?.as_array().cloned().unwrap_or_default();
    let has = list.iter().any(|i| i["name"] == link.0.as_str() && i["address"] == "192.0.2.9");
    ensure!(has, "the address is lost: {list:?}");
    let mtu = ran.facts.text(&mtu)?;
    ensure!(mtu == "1280", "the MTU is {mtu}, was 1280");
    Ok(())
}

fn up(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    let list = interfaces(bundle(runtime, &link, json!({}))?)?;
    let interface = named(&list, &link.0)?;
    ensure!(interface["up"] == true, "it is {interface}");
    Ok(())
}

fn not_moved_back(runtime: &Runtime) -> Verdict {
    let link = Link::new(runtime)?;
    let container = hold(bundle(runtime, &link, json!({}))?, &[])?;
    ensure!(!link.here(), "the device was not moved at all");
    container.kill()?;
    container.must("delete", &[])?;
    ensure!(!link.here(), "the device is back");
    Ok(())
}
