// SPDX-License-Identifier: GPL-2.0-only

//! What on this machine keeps a filesystem from being unmounted, or would still have it when it is.

mod namespaces;
pub mod nfs4;
pub mod processes;

use crate::error::Result;
use crate::host::Host;
use crate::mounts::{
    self,
    Mount, //
};
use crate::octal::unescape;
use namespaces::Namespaces;
use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// A program that has a file open for a moment is no obstacle: who is named was seen each time.
const LOOKS: u32 = 5;
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Everything that uses the filesystem of `mount`, a sentence for each.
pub fn look(host: &Host, mount: &Mount) -> Result<Vec<String>> {
    let own = mounts::read(&host.mountinfo)?;
    let mut found = mounted(mount, &own);
    found.extend(swap_and_loop(host, mount, &own));
    let mut lasting: Option<BTreeSet<String>> = None;
    for at in 0..LOOKS {
        if at > 0 {
            sleep(PAUSE);
        }
        let namespaces = Namespaces::read(host);
        let mut now: BTreeSet<_> = namespaces.not_unmounted(mount, &own).into_iter().collect();
        now.extend(processes::users(host, &namespaces, mount));
        let still = match lasting {
            Some(before) => before.intersection(&now).cloned().collect(),
            None => now,
        };
        let nobody = still.is_empty();
        lasting = Some(still);
        if nobody {
            break;
        }
    }
    found.extend(lasting.unwrap_or_default());
    Ok(found)
}

/// Other mounts of this namespace that are in the way.
fn mounted(mount: &Mount, own: &[Mount]) -> Vec<String> {
    own.iter()
        .filter(|other| other.id != mount.id)
        .filter_map(|other| {
            let at = other.point.display();
            if other.point.starts_with(&mount.point) {
                Some(format!(
                    "{} is mounted on it at {at}",
                    other.source.display()
                ))
            } else if other.device == mount.device {
                Some(format!("it is mounted at {at}, too"))
            } else {
                None
            }
        })
        .collect()
}

/// What the kernel itself has open.
fn swap_and_loop(host: &Host, mount: &Mount, own: &[Mount]) -> Vec<String> {
    let here = |word: &[u8]| {
        let path = unescape(word);
        mounts::containing(own, &path)
            .is_some_and(|on| on.device == mount.device)
            .then_some(path)
    };
    let swaps = fs::read(host.proc().join("swaps")).unwrap_or_default();
    let mut found: Vec<_> = swaps
        .split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| here(line.split(u8::is_ascii_whitespace).next()?))
        .map(|path| format!("{} is swapped to: \"swapoff\" it", path.display()))
        .collect();
    let blocks = fs::read_dir(host.sys().join("block"));
    for block in blocks.into_iter().flatten().flatten() {
        let file = fs::read(block.path().join("loop/backing_file")).unwrap_or_default();
        if let Some(path) = here(file.trim_ascii_end()) {
            found.push(format!(
                "{} is what /dev/{} consists of: \"losetup -d\" it",
                path.display(),
                block.file_name().to_string_lossy()
            ));
        }
    }
    found
}
