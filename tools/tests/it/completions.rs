// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Scratch,
    CTL, //
};
use std::process::Command;

/// What bash offers for the last of these words.
fn offered(dir: &Scratch, words: &[&str]) -> Vec<String> {
    let script = r#"
        . "$1/nfs-failoverctl.bash"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        complete -p nfs-failoverctl >/dev/null || exit
        function=$(complete -p nfs-failoverctl | sed 's/.* -F \([^ ]*\) .*/\1/')
        "$function" "$1" "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let said = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(dir.path("completions"))
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().map(Into::into).collect()
}

#[test]
fn bash_completes_commands_and_their_options() {
    let dir = Scratch::new();
    let made = Command::new(CTL)
        .args(["generate", "completions"])
        .arg(dir.path("completions"))
        .status();
    assert!(made.unwrap().success());
    assert_eq!(offered(&dir, &["nfs-failoverctl", "tak"]), ["takeover"]);
    assert_eq!(
        offered(&dir, &["nfs-failoverctl", "takeover", "--mo"]),
        ["--mount", "--mountinfo"]
    );
    assert_eq!(
        offered(&dir, &["nfs-failoverctl", "config", "c"]),
        ["check"]
    );
}
