//! `network ls`, `network inspect`, `network prune`: there are three networks, always.

use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::network::Network;
use super::{flags, state};
use crate::Context;
use crate::cli::print;
use crate::error::{Error, Result};
use crate::format::time::Timestamp;
use crate::format::{Listing, Value};
use crate::system::inspect::each;

/// The networks that always exist.
const FIXED: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// Flags of `network ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Only these: name=PART, driver=NAME, id=PART, scope=local, type=builtin
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Print by a Go template, `table TEMPLATE`, or json
    #[arg(long)]
    format: Option<String>,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
}

const LISTING: Listing<'static> = Listing {
    headings: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv6", "IPV6"),
        ("IPv4", "IPV4"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    default: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
};

/// Lists networks.
///
/// # Errors
/// A filter or template that cannot be understood.
pub fn ls(context: &Context, args: &LsArgs) -> Result<u8> {
    let network = Network::load(&context.paths)?;
    let mut rows = Vec::new();
    for (name, driver) in FIXED {
        let id = id(&network, name);
        if !passes(&args.filter, name, driver, &id)? {
            continue;
        }
        let id = if args.no_trunc { id } else { id.chars().take(12).collect() };
        rows.push((id, name, driver));
    }
    if args.quiet && args.format.is_none() {
        let ids: String = rows.iter().map(|(id, ..)| format!("{id}\n")).collect();
        return print(&ids).map(|()| 0);
    }
    let created = created(&network);
    let rows = rows.into_iter().map(|(id, name, driver)| {
        Value::row([
            ("ID", id),
            ("Name", name.to_owned()),
            ("Driver", driver.to_owned()),
            ("Scope", "local".to_owned()),
            ("IPv6", "false".to_owned()),
            ("IPv4", "true".to_owned()),
            ("Internal", "false".to_owned()),
            ("Labels", String::new()),
            ("CreatedAt", created.to_string()),
        ])
    });
    print(&LISTING.render(args.format.as_deref(), rows)?).map(|()| 0)
}

fn created(network: &Network) -> Timestamp {
    Timestamp { seconds: i64::try_from(network.created).unwrap_or_default(), nanos: 0 }
}

/// `host` and `none` have ids too: the bridge's, with another beginning.
fn id(network: &Network, name: &str) -> String {
    let rest = network.id.get(4..).unwrap_or_default();
    match name {
        "host" => format!("4057{rest}"),
        "none" => format!("0000{rest}"),
        _ => network.id.clone(),
    }
}

fn passes(filters: &[String], name: &str, driver: &str, id: &str) -> Result<bool> {
    for filter in filters {
        let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
        let fits = match key {
            "name" => name.contains(value),
            "driver" => driver == value,
            "id" => id.starts_with(value),
            "scope" => value == "local",
            "type" if matches!(value, "builtin" | "custom") => value == "builtin",
            "dangling" if matches!(value, "true" | "false" | "1" | "0") => false,
            "label" => false,
            _ => {
                return Err(Error::new(format!("invalid filter '{filter}'"))
                    .fix("the filters are name, driver, id, scope, type, label"));
            }
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Flags of `network inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Networks, by name or id
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// Print by a Go template
    #[arg(short, long)]
    format: Option<String>,
    /// More, of which there is nothing here
    #[arg(short, long)]
    verbose: bool,
}

/// Prints networks in Docker's shape.
///
/// # Errors
/// One that does not exist; the others are printed.
pub fn inspect(context: &Context, args: &InspectArgs) -> Result<u8> {
    each(&args.networks, args.format.as_deref(), |asked| find(context, asked))
}

/// One network by its name, or by the beginning of its id.
///
/// # Errors
/// There is none of that name.
pub(crate) fn find(context: &Context, asked: &str) -> Result<Json> {
    let network = Network::load(&context.paths)?;
    let matches =
        |name: &str| name == asked || (asked.len() >= 4 && id(&network, name).starts_with(asked));
    match FIXED.iter().find(|(name, _)| matches(name)) {
        Some((name, driver)) => object(context, &network, name, driver),
        None => Err(flags::unknown(asked)),
    }
}

fn object(context: &Context, network: &Network, name: &str, driver: &str) -> Result<Json> {
    let bridge = name == "bridge";
    let mut containers = Map::new();
    for record in state::records(&context.paths)?.into_iter().filter(|_| bridge) {
        let endpoint = record.endpoint;
        let member = json!({
            "Name": record.name,
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": format!("{}/{}", endpoint.ip, endpoint.subnet.prefix),
            "IPv6Address": "",
        });
        containers.insert(record.container, member);
    }
    let config = if bridge {
        json!([{ "Subnet": network.subnet, "Gateway": network.gateway }])
    } else {
        json!([])
    };
    let options = if bridge {
        json!({
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            "com.docker.network.bridge.name": network.bridge,
            "com.docker.network.driver.mtu": network.mtu.to_string(),
        })
    } else {
        json!({})
    };
    Ok(json!({
        "Name": name,
        "Id": id(network, name),
        "Created": created(network).to_string(),
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": config },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": options,
        "Labels": {},
    }))
}

/// Flags of `network prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only these: label=KEY, until=TIME
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Removes the user networks that nobody uses: there are none.
///
/// # Errors
/// None.
pub fn prune(_: &Context, _: &PruneArgs) -> Result<u8> {
    Ok(0)
}
