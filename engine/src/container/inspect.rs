//! `inspect`: everything about a container, in the shape of Docker's API.

use serde_json::{Map, Value, json};

use super::record::Record;
use super::state::{State, Status};
use super::{Container, each};
use crate::Context;
use crate::error::Result;
use crate::format;
use crate::monitor::log;
use crate::monitor::policy::Policy;
use crate::net::flags::Mode;

/// Docker's "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `container inspect`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How to print: json, or a template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show how much each has written
    #[arg(short, long)]
    size: bool,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Prints containers as JSON, or by a template.
///
/// # Errors
/// A container that does not exist, told after the others are printed.
pub fn inspect(context: &Context, args: &Args) -> Result<u8> {
    let mut found = Vec::new();
    let code = each(&args.containers, |word| {
        let container = Container::find(context, word)?;
        let mut object = object(context, &container)?;
        if args.size {
            object["SizeRw"] = super::ps::written(context, &container.id).into();
        }
        found.push(object);
        Ok(())
    })?;
    crate::cli::print(&format::inspect(&found, args.format.as_deref())?)?;
    Ok(code)
}

/// One container, in Docker's shape.
///
/// # Errors
/// The container is damaged.
pub fn object(context: &Context, container: &Container) -> Result<Value> {
    let record = container.record()?;
    let state = container.state()?;
    let config: Value =
        super::read_json(&container.dir.join("bundle/config.json")).unwrap_or_default();
    let argv = record.argv();
    let file = |name: &str| container.dir.join(name).display().to_string();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(json!({
        "Id": record.id,
        "Created": record.created,
        "Path": argv.first().cloned().unwrap_or_default(),
        "Args": argv.get(1..).unwrap_or_default(),
        "State": state_of(&state),
        "Image": record.image_id,
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": log::path(&container.dir, &record.id),
        "Name": format!("/{}", record.name),
        "RestartCount": state.restart_count,
        "Driver": if record.rootfs.is_some() { "rootfs" } else { "overlay2" },
        "Platform": "linux",
        "MountLabel": text(&config["linux"]["mountLabel"]),
        "ProcessLabel": text(&config["process"]["selinuxLabel"]),
        "AppArmorProfile": text(&config["process"]["apparmorProfile"]),
        "ExecIDs": null,
        "HostConfig": host_config(&record)?,
        "GraphDriver": graph_driver(container, &record),
        "Mounts": record.mounts.iter().map(crate::volume::Mount::inspect).collect::<Vec<_>>(),
        "Config": config_of(&record),
        "NetworkSettings": network(context, &record, &state)?,
    }))
}

fn state_of(state: &State) -> Value {
    let never = |text: &str| if text.is_empty() { NEVER.to_owned() } else { text.to_owned() };
    json!({
        "Status": state.status.word(),
        "Running": state.status.is_live(),
        "Paused": state.status == Status::Paused,
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": false,
        "Pid": state.pid(),
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": never(&state.started),
        "FinishedAt": never(&state.finished),
    })
}

fn config_of(record: &Record) -> Value {
    let basics = &record.flags.basics;
    let config = &record.config;
    let mut env = config.env.clone().unwrap_or_default();
    for variable in &basics.env {
        let name = variable.split('=').next();
        env.retain(|old| old.split('=').next() != name);
        env.push(variable.clone());
    }
    let cmd = match (record.command.is_empty(), &basics.entrypoint) {
        (true, None) => config.cmd.clone(),
        (true, Some(_)) => None,
        (false, _) => Some(record.command.clone()),
    };
    let entrypoint = match basics.entrypoint.as_deref() {
        None => config.entrypoint.clone(),
        Some("") => None,
        Some(own) => Some(vec![own.to_owned()]),
    };
    let exposed: Map<String, Value> =
        record.net.expose.iter().map(|port| (port.to_string(), json!({}))).collect();
    json!({
        "Hostname": record.hostname(),
        "Domainname": basics.domainname.clone().unwrap_or_default(),
        "User": basics.user.clone().or_else(|| config.user.clone()).unwrap_or_default(),
        "AttachStdin": basics.interactive && !record.detached,
        "AttachStdout": !record.detached,
        "AttachStderr": !record.detached,
        "ExposedPorts": exposed,
        "Tty": basics.tty,
        "OpenStdin": basics.interactive,
        "StdinOnce": record.stdin_once,
        "Env": env,
        "Cmd": cmd,
        "Image": record.image,
        "Volumes": config.volumes,
        "WorkingDir": basics.workdir.clone().or_else(|| config.working_dir.clone()).unwrap_or_default(),
        "Entrypoint": entrypoint,
        "OnBuild": null,
        "Labels": record.labels(),
        "StopSignal": record.stop_signal(),
        "StopTimeout": basics.stop_timeout,
    })
}

/// Sizes and numbers of the flags as the runtime got them.
fn host_config(record: &Record) -> Result<Value> {
    let (basics, isolation) = (&record.flags.basics, &record.flags.isolation);
    let limits = Value::Object(crate::bundle::resources::limits(&record.flags.limits)?);
    let number = |section: &str, member: &str| limits[section][member].as_i64().unwrap_or(0);
    let (policy, most) = Policy::parse(&basics.restart)?.words();
    let cpus = record.flags.limits.cpus.as_deref().map(crate::bundle::units::nano_cpus);
    let options: Map<String, Value> = basics
        .log_opt
        .iter()
        .filter_map(|text| text.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let size = crate::bundle::tree::shm_size(record)?;
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut out = json!({
        "ContainerIDFile": basics.cidfile.clone().unwrap_or_default(),
        "LogConfig": { "Type": basics.log_driver, "Config": options },
        "NetworkMode": network_mode(record),
        "PortBindings": port_bindings(record),
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": most },
        "AutoRemove": basics.rm,
        "CapAdd": isolation.cap_add,
        "CapDrop": isolation.cap_drop,
        "CgroupnsMode": word(&isolation.cgroupns),
        "Dns": record.net.dns,
        "DnsOptions": record.net.dns_option,
        "DnsSearch": record.net.dns_search,
        "GroupAdd": isolation.group_add,
        "IpcMode": isolation.ipc.clone().unwrap_or_else(|| "private".into()),
        "OomScoreAdj": isolation.oom_score_adj.unwrap_or(0),
        "PidMode": word(&isolation.pid),
        "Privileged": isolation.privileged,
        "PublishAllPorts": record.net.publish_all,
        "ReadonlyRootfs": isolation.read_only,
        "SecurityOpt": isolation.security_opt,
        "UTSMode": word(&isolation.uts),
        "UsernsMode": word(&isolation.userns),
        "ShmSize": size,
        "Runtime": basics.runtime.clone().unwrap_or_else(|| "corten".into()),
        "Init": basics.init,
    });
    let numbers = [
        ("CpuShares", number("cpu", "shares")),
        ("Memory", number("memory", "limit")),
        ("NanoCpus", cpus.transpose()?.unwrap_or(0)),
        ("BlkioWeight", number("blockIO", "weight")),
        ("CpuPeriod", record.flags.limits.cpu_period.map_or(0, u64::cast_signed)),
        ("CpuQuota", record.flags.limits.cpu_quota.unwrap_or(0)),
        ("MemoryReservation", number("memory", "reservation")),
        ("MemorySwap", number("memory", "swap")),
        ("PidsLimit", number("pids", "limit")),
    ];
    for (name, value) in numbers {
        out[name] = value.into();
    }
    out["CpusetCpus"] = word(&record.flags.limits.cpuset_cpus).into();
    out["CpusetMems"] = word(&record.flags.limits.cpuset_mems).into();
    out["CgroupParent"] = word(&isolation.cgroup_parent).into();
    out["OomKillDisable"] = isolation.oom_kill_disable.into();
    Ok(out)
}

fn network_mode(record: &Record) -> String {
    match &record.net.mode {
        Mode::Bridge => "bridge".into(),
        Mode::None => "none".into(),
        Mode::Host => "host".into(),
        Mode::Container(id) => format!("container:{id}"),
    }
}

fn port_bindings(record: &Record) -> Value {
    let mut out = Map::new();
    for publish in &record.net.publish {
        let host = match publish.host {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let ip = publish.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let entry = out.entry(publish.port.to_string()).or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            list.push(json!({ "HostIp": ip, "HostPort": host }));
        }
    }
    out.into()
}

fn graph_driver(container: &Container, record: &Record) -> Value {
    if let Some(rootfs) = &record.rootfs {
        return json!({ "Name": "rootfs", "Data": { "RootDir": rootfs } });
    }
    let lower: Vec<_> = record.layers.iter().rev().map(|dir| dir.display().to_string()).collect();
    json!({ "Name": "overlay2", "Data": {
        "LowerDir": lower.join(":"),
        "MergedDir": container.live.join("rootfs"),
        "UpperDir": container.dir.join("upper"),
        "WorkDir": container.dir.join("work"),
    } })
}

/// `NetworkSettings`: the one network that a container has.
fn network(context: &Context, record: &Record, state: &State) -> Result<Value> {
    let running = matches!(state.status, Status::Running | Status::Paused);
    let endpoint = match running {
        true => crate::net::endpoint_of(&context.paths, &record.id)?,
        false => None,
    };
    let mut ports = Map::new();
    let mut own = json!({
        "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "MacAddress": "",
    });
    if let Some(endpoint) = &endpoint {
        for port in &record.net.expose {
            ports.insert(port.to_string(), Value::Null);
        }
        for binding in &endpoint.ports {
            let host = binding.host();
            let entry =
                json!({ "HostIp": host.ip().to_string(), "HostPort": host.port().to_string() });
            let list = ports.entry(binding.port.to_string()).or_insert(Value::Null);
            match list.as_array_mut() {
                Some(list) => list.push(entry),
                None => *list = json!([entry]),
            }
        }
        own = json!({
            "EndpointID": endpoint.id,
            "Gateway": endpoint.gateway.to_string(),
            "IPAddress": endpoint.ip.to_string(),
            "IPPrefixLen": endpoint.subnet.prefix,
            "MacAddress": endpoint.mac.to_string(),
        });
    }
    let mut settings = json!({
        "SandboxKey": match state.pid() {
            0 => String::new(),
            pid => format!("/proc/{pid}/ns/net"),
        },
        "Ports": ports,
        "Networks": {},
    });
    if let (Some(all), Some(own)) = (settings.as_object_mut(), own.as_object()) {
        all.extend(own.clone());
    }
    let name = network_mode(record);
    if !name.starts_with("container:") {
        settings["Networks"][name] = own;
    }
    Ok(settings)
}
