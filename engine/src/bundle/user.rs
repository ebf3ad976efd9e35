//! Who the program runs as: names looked up in the container's own passwd and group files.
//!
//! The files are opened below the root file system by descriptor, so that a link in the image
//! cannot name a file of the host; they are read up to a limit.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::error::{Error, Result};

/// Size of a passwd or group file that is read.
const LARGEST: u64 = 16 << 20;

/// The two files.
#[derive(Debug, Default, Clone)]
pub struct Accounts {
    passwd: String,
    group: String,
}

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// All groups, the first one included, as Docker has it.
    pub groups: Vec<u32>,
}

impl Accounts {
    /// Reads `/etc/passwd` and `/etc/group` of a root file system; what is not there is empty.
    pub fn read(root: impl AsFd) -> Self {
        let read = |path: &str| read_below(&root, path).unwrap_or_default();
        Self { passwd: read("etc/passwd"), group: read("etc/group") }
    }

    /// The same from text.
    pub fn of(passwd: &str, group: &str) -> Self {
        Self { passwd: passwd.into(), group: group.into() }
    }

    /// What `NAME|UID[:GROUP|GID]` means, with the groups of `--group-add`.
    ///
    /// # Errors
    /// A name that the image does not have.
    pub fn user(&self, asked: &str, add: &[String]) -> Result<User> {
        let (user, group) = match asked.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (asked, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let number = user.parse::<u32>().ok();
        // A name of digits alone is looked up first, as Docker does.
        let found = self.account(|fields| fields.first() == Some(&user)).or_else(|| {
            let number = number?;
            self.account(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(number))
        });
        let (uid, own_gid, name) = match (found, number) {
            (Some(found), _) => found,
            (None, Some(number)) => (number, 0, None),
            (None, None) => {
                return Err(Error::new(format!("unable to find user {user}"))
                    .why("no matching entries in passwd file")
                    .fix("use a number, or a name that stands in the image's /etc/passwd"));
            }
        };
        let gid = group.map(|group| self.group_id(group)).transpose()?;
        // An explicit group means: that one alone (as Docker).
        let mut groups: Vec<u32> = match (gid, &name) {
            (None, Some(name)) => self.groups_of(name),
            _ => Vec::new(),
        };
        for group in add {
            groups.push(self.group_id(group)?);
        }
        let gid = gid.unwrap_or(own_gid);
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| *group != gid);
        groups.insert(0, gid);
        Ok(User { uid, gid, groups })
    }

    fn account(&self, wanted: impl Fn(&[&str]) -> bool) -> Option<(u32, u32, Option<String>)> {
        let lines = self.passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let fields = lines.into_iter().find(|fields| wanted(fields))?;
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some((number(2)?, number(3)?, fields.first().map(|name| (*name).into())))
    }

    fn group_id(&self, group: &str) -> Result<u32> {
        let mut lines = self.group.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let named = lines.find(|fields| fields.first() == Some(&group));
        let found = named.and_then(|fields| fields.get(2)?.parse().ok());
        found.or_else(|| group.parse().ok()).ok_or_else(|| {
            Error::new(format!("unable to find group {group}"))
                .why("no matching entries in group file")
                .fix("use a number, or a name that stands in the image's /etc/group")
        })
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        let member = |line: &str| -> Option<u32> {
            let mut fields = line.split(':');
            let id = fields.nth(2)?.parse().ok()?;
            fields.next()?.split(',').any(|name| name == user).then_some(id)
        };
        self.group.lines().filter_map(member).collect()
    }
}

fn read_below(root: impl AsFd, path: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(root, path, flags, Mode::empty(), resolve).ok()?);
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut text = Vec::new();
    let read = file.take(LARGEST).read_to_end(&mut text).ok()?;
    if u64::try_from(read).is_ok_and(|read| read == LARGEST) {
        // A line that was cut could name another id.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0));
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::of(
            "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/false\n1000:x:7:8::/n:\n",
            "root:x:0:\nwww:x:33:\nvideo:x:44:web,other\naudio:x:29:web\n",
        )
    }

    #[test]
    fn every_form_of_a_user() {
        let user = |asked: &str| accounts().user(asked, &[]).unwrap();
        let of = |uid, gid, groups: &[u32]| User { uid, gid, groups: groups.to_vec() };
        assert_eq!(user(""), of(0, 0, &[0]));
        assert_eq!(user("web"), of(33, 33, &[33, 29, 44]));
        assert_eq!(user("33"), of(33, 33, &[33, 29, 44]));
        assert_eq!(user("web:video"), of(33, 44, &[44]));
        assert_eq!(user("5:6"), of(5, 6, &[6]));
        assert_eq!(user("5"), of(5, 0, &[0]));
        assert_eq!(user("1000"), of(7, 8, &[8]));
        let added = accounts().user("5:6", &["audio".into(), "9".into()]).unwrap();
        assert_eq!(added.groups, [6, 9, 29]);
    }

    #[test]
    fn a_name_that_is_not_there_is_an_error() {
        for asked in ["nobody", "web:nogroup", ":nogroup"] {
            assert!(accounts().user(asked, &[]).is_err(), "{asked}");
        }
    }

    #[test]
    fn links_of_the_image_do_not_leave_it() {
        let dir = std::env::temp_dir().join(format!("pier-user-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        std::os::unix::fs::symlink("/../../../etc/hostname", dir.join("etc/passwd")).unwrap();
        let accounts = Accounts::read(File::open(&dir).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(accounts.passwd, "");
    }
}
