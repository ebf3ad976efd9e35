//! `inspect`: everything about a container, in the shape of Docker's API.

mod host;

use serde_json::{Map, Value, json};

use super::Container;
use super::record::Record;
use super::state::{State, Status};
use crate::Context;
use crate::error::Result;
use crate::monitor::log;
use crate::net::flags::Mode;
use crate::system::inspect::each;

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

/// Prints containers as JSON, or by a template; one that does not exist is told after the others
/// are printed.
///
/// # Errors
/// A template that cannot be read.
pub fn inspect(context: &Context, args: &Args) -> Result<u8> {
    each(&args.containers, args.format.as_deref(), |word| find(context, word, args.size))
}

/// One container by its name or id; with `size` also how much it has written.
///
/// # Errors
/// It is not there, or is damaged.
pub fn find(context: &Context, word: &str, size: bool) -> Result<Value> {
    let container = Container::find(context, word)?;
    let mut object = object(context, &container)?;
    if size {
        let written = super::ps::written(context, &container.id);
        let record = container.record()?;
        let usage = |dir: &std::path::PathBuf| crate::fsutil::usage(dir).unwrap_or_default();
        let below: u64 = record.layers.iter().chain(&record.rootfs).map(usage).sum();
        object["SizeRw"] = written.into();
        object["SizeRootFs"] = written.saturating_add(below).into();
    }
    Ok(object)
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
    let execs = match state.pid() {
        0 => Vec::new(),
        _ => super::exec::session::ids(&container.live),
    };
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
        "ExecIDs": (!execs.is_empty()).then_some(execs),
        "HostConfig": host::config(&record)?,
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
    // Those of the image, and the anonymous ones of `-v`.
    let mut volumes = config.volumes.clone().unwrap_or_default();
    let flags = record.flags.volumes.volume.iter().filter(|text| !text.contains(':'));
    volumes.extend(flags.map(|target| (target.clone(), json!({}))));
    let volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
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
        "Volumes": volumes,
        "WorkingDir": basics.workdir.clone().or_else(|| config.working_dir.clone()).unwrap_or_default(),
        "Entrypoint": entrypoint,
        "OnBuild": null,
        "Labels": record.labels(),
        "StopSignal": record.stop_signal(),
        "StopTimeout": basics.stop_timeout,
    })
}

pub(super) fn network_mode(record: &Record) -> String {
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
