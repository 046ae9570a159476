//! Settings of the kernel that decide how memory reaches the disk, for a report: writeback, mount, control group. Thread:
//! report; it may wait for the disk.

use crate::file_system::mount_of;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// Settings of `/proc/sys/vm`.
const VM: [&str; 8] = [
    "dirty_background_bytes",
    "dirty_background_ratio",
    "dirty_bytes",
    "dirty_expire_centisecs",
    "dirty_ratio",
    "dirty_writeback_centisecs",
    "swappiness",
    "overcommit_memory",
];

/// Files of a control group of version 2.
const GROUP: [&str; 9] = [
    "memory.current",
    "memory.high",
    "memory.max",
    "memory.swap.current",
    "memory.pressure",
    "io.max",
    "io.pressure",
    "cpu.max",
    "cpu.pressure",
];

/// The settings that count for a session in `folder`.
pub(super) fn settings(folder: &Path) -> Value {
    let root = Path::new("/");
    let mount = mount_of(folder);
    json!({
        "vm": files(&root.join("proc/sys/vm"), &VM),
        "mount_point": mount.as_ref().map(|mount| mount.at.display().to_string()),
        "mount_options": mount.map(|mount| mount.options),
        "cgroup": group(root),
        "transparent_hugepage": text(&root.join("sys/kernel/mm/transparent_hugepage/enabled")),
        "perf_event_paranoid": text(&root.join("proc/sys/kernel/perf_event_paranoid")),
    })
}

/// The control group of this program, and its files that exist.
fn group(root: &Path) -> Value {
    let groups = text(&root.join("proc/self/cgroup")).unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let folder = root.join("sys/fs/cgroup").join(own.trim_start_matches('/'));
    json!({ "groups": groups.lines().collect::<Vec<_>>(), "files": files(&folder, &GROUP) })
}

fn files(folder: &Path, names: &[&str]) -> Value {
    let found = names.iter().filter_map(|name| Some(((*name).to_owned(), Value::from(text(&folder.join(name))?))));
    Value::Object(found.collect::<Map<String, Value>>())
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_writeback_mount_and_group_are_read_and_files_that_are_missing_are_left_out() {
        let settings = settings(Path::new("/"));
        assert!(settings["vm"]["dirty_writeback_centisecs"].is_string(), "{settings}");
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/self/cgroup", "0::/user.slice/app.scope\n");
        write("sys/fs/cgroup/user.slice/app.scope/memory.max", "123\n");
        let group = group(root.path());
        assert_eq!(group["files"], json!({ "memory.max": "123" }));
        assert_eq!(group["groups"][0], "0::/user.slice/app.scope");
    }
}
