// SPDX-License-Identifier: GPL-2.0-only

//! Structures, by BTF.

use super::{
    findings,
    well, //
};
use crate::common::ELSEWHERE;
use std::fs;

/// A structure: its name, its size, and its members with their places in bits.
type Structure<'a> = (&'a str, u32, &'a [(&'a str, u32)]);

/// A BTF file of structures. Its strings begin
/// behind `base`.
fn btf(base: usize, structures: &[Structure<'_>]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut name = |name: &str| {
        let at = base + strings.len();
        strings.extend(name.as_bytes());
        strings.push(0);
        at as u32
    };
    // An integer, which has a word behind it.
    let mut types: Vec<u32> = vec![name("int"), 1 << 24, 4, 32];
    for (structure, size, members) in structures {
        types.extend([name(structure), (4 << 24) | members.len() as u32, *size]);
        for (member, place) in *members {
            types.extend([name(member), 1, *place]);
        }
    }
    let length = 4 * types.len() as u32;
    let mut file = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, length, length, strings.len() as u32] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(types.into_iter().flat_map(u32::to_le_bytes));
    file.extend(strings);
    file
}

#[test]
fn structures_are_compared_with_those_that_run() {
    let node = well(ELSEWHERE);
    node.dir.write("root/sys/module/nfs_failover/x", "");
    let layout = || {
        let found = findings(&node.run(&["doctor", "--json"]));
        let found = found
            .into_iter()
            .find(|finding| finding["check"] == "layout");
        let found = found.unwrap();
        let word = |key: &str| found[key].as_str().unwrap().to_string();
        (word("verdict"), word("what"))
    };
    let write = |name: &str, file: Vec<u8>| {
        let path = node.dir.write(&format!("root/sys/kernel/btf/{name}"), "");
        fs::write(path, file).unwrap();
    };
    assert_eq!(layout().0, "unknown");
    let vmlinux = btf(0, &[("list_head", 16, &[("next", 0), ("prev", 64)])]);
    let base = nfs_failoverctl::doctor::layout::strings(&vmlinux)
        .unwrap()
        .len();
    write("vmlinux", vmlinux);
    let host: &[(&str, u32)] = &[("h_name", 0), ("h_addr", 64)];
    write(
        "lockd",
        btf(base, &[("nlm_host", 32, host), ("nlm_file", 8, &[])]),
    );
    write("nfsd", btf(base, &[("nfsd_net", 64, &[("x", 0)])]));
    write("sunrpc", btf(base, &[]));
    write(
        "nfs_failover",
        btf(base, &[("nlm_host", 32, host), ("ours", 8, &[])]),
    );
    assert_eq!(layout().0, "ok");
    for other in [
        btf(base, &[("nlm_host", 40, host)]),
        btf(base, &[("nlm_host", 32, &[("h_name", 0), ("h_addr", 128)])]),
        btf(base, &[("nlm_host", 32, &[("h_name", 0)])]),
        btf(base, &[("nlm_host", 32, &[("h_name", 0), ("other", 64)])]),
    ] {
        write("nfs_failover", other);
        let (verdict, what) = layout();
        assert!(
            verdict == "error" && what.ends_with("layout of nlm_host"),
            "{what}"
        );
    }
    write("nfs_failover", btf(base, &[("ours", 8, &[])]));
    assert_eq!(layout().0, "unknown");
    // Cut off, or of something else: not right.
    let whole = btf(base, &[("nlm_host", 32, host)]);
    for length in [0, 10, 23, 40, whole.len() - 30] {
        write("nfs_failover", whole[..length].to_vec());
        assert_eq!(layout().0, "unknown", "{length}");
    }
}
