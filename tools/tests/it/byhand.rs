// SPDX-License-Identifier: GPL-2.0-only

//! The scripts of contrib/by-hand, in what clients can write to.

use crate::common::{
    as_root,
    Ran,
    Scratch, //
};
use std::fs;

/// A node with one client on statd's list, and a kernel that is two files.
const NODE: &str = "
    for dir in /proc/fs /var/lib /run; do mount -t tmpfs none $dir; done
    mkdir -p /proc/fs/nfsd /var/lib/nfs/sm srv/.nsm/sm out
    echo 'the line of statd' >/var/lib/nfs/sm/10.0.0.1
    echo untouched >victim
    PATH=$PWD/bin:$PATH
    kernel() { printf 'xxxx\\n%s\\n' 'the manifest' >/proc/fs/nfsd/lock_manifest; }
    save() { timeout 60 sh $SCRIPTS/nsm-save.sh srv; }
    keep() { timeout 60 sh $SCRIPTS/manifest-save.sh srv 1234; }
    load() { timeout 60 sh $SCRIPTS/manifest-load.sh srv; }
    tell() { timeout 60 sh $SCRIPTS/nsm-notify.sh srv 10.0.0.9; }
";

fn run(script: &str) -> Option<(Scratch, Ran)> {
    let dir = Scratch::new();
    dir.write("bin/pkill", "#!/bin/sh\nexit 1\n");
    // It counts.
    dir.write(
        "bin/sm-notify",
        "#!/bin/sh\ncat $5/sm/* >>told\necho $(($(cat $5/state 2>/dev/null || echo 1) + 2)) >$5/state\n",
    );
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/by-hand");
    let script = format!("chmod 755 bin/*\nSCRIPTS={scripts}\n{NODE}\n{script}");
    let ran = as_root(&[], &script, &dir.path(""))?;
    Some((dir, ran))
}

#[test]
fn a_move_by_hand() {
    let Some((dir, ran)) = run("
        save
        kernel
        keep
        cp -a srv/.nsm there
        kernel
        load
        cp /proc/fs/nfsd/lock_manifest given
        load
        tell
        tell
        # One that is not root's is not used, and gone.
        echo another >srv/.nsm/manifest
        chown 12345 srv/.nsm/manifest
        load 2>why || echo $? >refused
        kernel
        cat srv/.nsm/manifest 2>/dev/null || cp /proc/fs/nfsd/lock_manifest after")
    else {
        return;
    };
    assert_eq!(ran.exit, 0, "{ran:?}");
    for (file, content) in [
        ("there/sm/10.0.0.1", "the line of statd\n"),
        ("there/manifest", "the manifest\n"),
        ("given", "the manifest\n"),
        ("told", "the line of statd\nthe line of statd\n"),
        ("srv/.nsm/state", "5\n"),
        ("refused", "1\n"),
        ("after", "xxxx\nthe manifest\n"),
    ] {
        assert_eq!(dir.read(file), content, "{file}: {ran:?}");
    }
    assert!(
        dir.read("why").contains("others than root can change it"),
        "{ran:?}"
    );
}

/// Links to files and directories of the server, and pipes, wherever a script keeps something.
#[test]
fn clients_lead_the_scripts_nowhere() {
    let Some((dir, ran)) = run("
        try() {
            script=$1 at=.nsm${2:-}
            for what in \"ln -s $PWD/victim\" \"ln -s $PWD/out\" mkfifo; do
                rm -rf srv/.nsm
                mkdir -p srv/.nsm/sm
                echo 'the line of statd' >srv/.nsm/sm/10.0.0.1
                rm -rf srv/$at
                $what srv/$at
                kernel
                $script >>said 2>&1 && status=0 || status=$?
                [ $status != 124 ] || echo \"$script waits: $what $at\" >>bad
                [ \"$(ls out; cat victim)\" = untouched ] || echo \"$script follows: $what $at\" >>bad
                rm -rf out/*
                mkdir -p out
                echo untouched >victim
            done
        }
        # What it is kept in is put right, and a directory is moved aside.
        mended() {
            try $*
            kernel
            $1 2>>said || echo \"not mended: $*\" >>bad
        }
        for at in '' /sm /sm/10.0.0.1; do mended save $at; done
        for at in '' /manifest /manifest.new; do mended keep $at; done
        for at in '' /manifest; do try load $at; done
        for at in '' /sm /sm/10.0.0.1 /state /state.new; do try tell $at; done
        kernel
        keep")
    else {
        return;
    };
    assert_eq!(ran.exit, 0, "{ran:?} {}", dir.read("said"));
    assert_eq!(dir.read("bad"), "", "{}", dir.read("said"));
    assert!(fs::metadata(dir.path("srv/.nsm/manifest"))
        .unwrap()
        .is_file());
}
