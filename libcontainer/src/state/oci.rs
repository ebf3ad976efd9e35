//! The state as others see it: `state` and `list`, hooks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{OCI_VERSION, State, Status, time};
use crate::error::Result;
use crate::plan::hooks::Kind;

/// What `state` prints and `list` collects: runc's members in runc's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Version of the specification.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Pid of init, 0 when there is none.
    pub pid: i32,
    /// Where the container is in its life.
    pub status: Status,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339 with nanoseconds.
    pub created: String,
    /// The configuration's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The user whose container it is; `#uid` for one without a name.
    pub owner: String,
}

impl View {
    /// The view of a published container.
    ///
    /// # Errors
    /// As [`State::status`].
    pub(super) fn of(state: &State, owner: String) -> Result<Self> {
        let status = state.status()?;
        Ok(Self {
            oci_version: state.oci_version.clone(),
            id: state.id.clone(),
            pid: if status == Status::Stopped { 0 } else { state.init.pid },
            status,
            bundle: state.bundle.clone(),
            rootfs: state.rootfs.clone(),
            created: time::format(state.created),
            annotations: state.annotations.clone(),
            owner,
        })
    }
}

/// The text before the status: what init must find at a fixed place, see [`crate::hooks::inside`].
const HEAD: &str = concat!(r#"{"ociVersion":""#, "1.3.0", r#"","status":"#);
/// The text between status and pid.
const MIDDLE: &str = r#","pid":"#;

/// Where the status stands, with its quotes, padded with blanks to [`STATUS_LEN`].
pub const STATUS_AT: usize = HEAD.len();
/// Bytes of the status.
pub const STATUS_LEN: usize = 10;
/// Where the pid stands, padded with blanks to [`PID_LEN`].
pub const PID_AT: usize = STATUS_AT + STATUS_LEN + MIDDLE.len();
/// Bytes of the pid.
pub const PID_LEN: usize = 10;

/// The state that a hook reads from its stdin (runtime.md, "State"; config.md, "hooks").
#[derive(Clone, Copy, Debug)]
pub struct HookState<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute path of the bundle.
    pub bundle: &'a Path,
    /// The configuration's annotations.
    pub annotations: &'a BTreeMap<String, String>,
}

impl<'a> HookState<'a> {
    /// Of a published container.
    pub fn of(state: &'a State) -> Self {
        Self { id: &state.id, bundle: &state.bundle, annotations: &state.annotations }
    }

    /// The JSON for hooks of one kind. For hooks inside the container pid and status are set by
    /// init.
    pub fn json(&self, kind: Kind, pid: i32) -> Vec<u8> {
        #[derive(Serialize)]
        struct Rest<'a> {
            id: &'a str,
            bundle: std::borrow::Cow<'a, str>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<String, String>,
        }
        let bundle = self.bundle.to_string_lossy();
        let rest = Rest { id: self.id, bundle, annotations: self.annotations };
        // A structure of strings always serializes.
        let rest = serde_json::to_string(&rest).unwrap_or_default();
        let status = format!("\"{}\"", kind.status());
        let members = rest.strip_prefix('{').unwrap_or("}");
        format!("{HEAD}{status:<STATUS_LEN$}{MIDDLE}{pid:>PID_LEN$},{members}").into_bytes()
    }
}

const _: () = assert!(OCI_VERSION.len() == 5, "HEAD holds the version");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_state_is_what_the_specification_wants_at_fixed_places() {
        let annotations = BTreeMap::from([("k\"".to_owned(), "v\n".to_owned())]);
        let state = HookState { id: "c1", bundle: Path::new("/b"), annotations: &annotations };
        for kind in Kind::ALL {
            let text = state.json(kind, 4711);
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(
                json,
                serde_json::json!({"ociVersion": OCI_VERSION, "status": kind.status(), "pid": 4711,
                    "id": "c1", "bundle": "/b", "annotations": {"k\"": "v\n"}})
            );
            let at = |from: usize, len: usize| {
                std::str::from_utf8(&text[from..from + len]).unwrap().trim().to_owned()
            };
            assert_eq!(at(PID_AT, PID_LEN), "4711");
            assert_eq!(at(STATUS_AT, STATUS_LEN), format!("\"{}\"", kind.status()));
        }
    }

    #[test]
    fn no_annotations_no_member() {
        let none = BTreeMap::new();
        let text = HookState { id: "c", bundle: Path::new("/b"), annotations: &none }
            .json(Kind::Poststop, 0);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json.get("annotations"), None);
        assert_eq!(json["pid"], 0);
    }
}
