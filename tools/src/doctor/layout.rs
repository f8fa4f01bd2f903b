// SPDX-License-Identifier: GPL-2.0-only

//! Whether the structures of lockd, nfsd and sunrpc are as the module believes.
//!
//! Both sides say it themselves, in BTF (Documentation/bpf/btf.rst of the kernel): the module as it
//! was built, the others as they run.

use super::finding::{
    Finding,
    Sight, //
};
use crate::host::Host;
use std::collections::BTreeMap;
use std::fs;

/// Whose structures the module looks into.
const OTHERS: [&str; 3] = ["lockd", "nfsd", "sunrpc"];

/// A structure: its size, and where its members are, in bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    size: u32,
    members: Vec<(String, u32)>,
}

/// Structures by name. Some names are there several times.
pub type Layouts = BTreeMap<String, Vec<Layout>>;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether there is a module to look at.
    pub loaded: bool,
    /// What the module believes.
    pub ours: Sight<Layouts>,
    /// What is the case.
    pub theirs: Sight<Layouts>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host) -> Self {
        let loaded = host.sys().join("module/nfs_failover").exists();
        if !loaded {
            return Self {
                loaded,
                ours: Ok(Layouts::new()),
                theirs: Ok(Layouts::new()),
            };
        }
        let dir = host.sys().join("kernel/btf");
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        // All of them rely on the kernel's strings.
        let base = read("vmlinux");
        let of = |name: &str| {
            let base = base.as_ref().map_err(Clone::clone)?;
            layouts(
                &read(name)?,
                strings(base).ok_or("the kernel's BTF cannot be read")?,
            )
            .ok_or_else(|| format!("the BTF of {name} cannot be read"))
        };
        let theirs = OTHERS.iter().try_fold(Layouts::new(), |mut all, name| {
            for (name, layouts) in of(name)? {
                all.entry(name).or_default().extend(layouts);
            }
            Ok(all)
        });
        Self {
            loaded,
            ours: of("nfs_failover"),
            theirs,
        }
    }
}

/// Judges.
pub fn judge(facts: &Facts) -> Option<Finding> {
    const COST: &str =
        "the module reads something else than it believes, and the node may die of it";
    const HEAL: &str = "build it for this kernel, from the headers of the very same version";
    if !facts.loaded {
        return None;
    }
    let (ours, theirs) = match (&facts.ours, &facts.theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(why), _) | (_, Err(why)) => {
            return Some(Finding::unknown("layout", why, COST, HEAL));
        }
    };
    let common: Vec<_> = ours
        .iter()
        .filter_map(|(name, ours)| Some((name, ours, theirs.get(name)?)))
        .collect();
    let other: Vec<_> = common
        .iter()
        .filter(|(_, ours, theirs)| !ours.iter().all(|layout| theirs.contains(layout)))
        .map(|(name, ..)| name.as_str())
        .collect();
    Some(match (common.len(), other.is_empty()) {
        (0, _) => Finding::unknown(
            "layout",
            "the module names no structure of lockd, nfsd or sunrpc",
            COST,
            HEAL,
        ),
        (count, true) => Finding::ok(
            "layout",
            format!("{count} structures of lockd, nfsd and sunrpc are as the module has them"),
        ),
        (_, false) => Finding::error(
            "layout",
            format!("the module has another layout of {}", other.join(", ")),
            COST,
            HEAL,
        ),
    })
}

const HEADER: usize = 24;

/// The parts of a BTF file: types and strings.
fn parts(btf: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = btf.get(..HEADER)?;
    if header.get(..2)? != [0x9f, 0xeb] {
        return None;
    }
    let length = word(header, 4)? as usize;
    let part = |at: usize| {
        let from = length.checked_add(word(header, at)? as usize)?;
        btf.get(from..from.checked_add(word(header, at + 4)? as usize)?)
    };
    Some((part(8)?, part(16)?))
}

/// The strings of a BTF file.
pub fn strings(btf: &[u8]) -> Option<&[u8]> {
    parts(btf).map(|(_, strings)| strings)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// The structures of a BTF file that goes on where that of the kernel, with these strings, ends.
pub fn layouts(btf: &[u8], base: &[u8]) -> Option<Layouts> {
    let (types, own) = parts(btf)?;
    let name = |at: u32| {
        let at = at as usize;
        let rest = match at.checked_sub(base.len()) {
            Some(at) => own.get(at..)?,
            None => base.get(at..)?,
        };
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    };
    let mut found = Layouts::new();
    let mut at = 0;
    while at < types.len() {
        let info = word(types, at + 4)?;
        let (count, kind) = ((info & 0xffff) as usize, (info >> 24) & 0x1f);
        let members = at + 12;
        at = members + behind(kind, count)?;
        let structure = name(word(types, members - 12)?)?;
        if kind != STRUCT || structure.is_empty() {
            continue;
        }
        let places = (0..count).map(|member| {
            let member = members + 12 * member;
            Some((name(word(types, member)?)?, word(types, member + 8)?))
        });
        found.entry(structure).or_default().push(Layout {
            size: word(types, members - 4)?,
            members: places.collect::<Option<_>>()?,
        });
    }
    Some(found)
}

const STRUCT: u32 = 4;

/// How much follows the three words of a type. [`None`] if it is of a kind that is not known.
fn behind(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // An integer, a variable, a remark about a declaration.
        1 | 14 | 17 => 4,
        3 => 12,
        // Structures, unions, sections and long enumerations.
        STRUCT | 5 | 15 | 19 => 12 * count,
        // Enumerations and prototypes.
        6 | 13 => 8 * count,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}
