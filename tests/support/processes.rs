//! Processes of a test, found by what they name: numbers can be anybody's.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{SOON, wait_for};

/// Ends every process that has to do with a folder, and says which those were, with their command lines.
pub fn end_all(folder: &Path) -> Vec<(i32, String)> {
    let mut ended: Vec<(i32, String)> = Vec::new();
    wait_for("all processes of the test end", SOON, || {
        let running = processes_of(folder);
        for (pid, line) in &running {
            // One that has ended meanwhile is as good.
            let _ =
                Command::new("kill").args(["-s", "KILL", &pid.to_string()]).stderr(Stdio::null()).status();
            if !ended.iter().any(|(known, _)| known == pid) {
                ended.push((*pid, line.clone()));
            }
        }
        running.is_empty().then_some(())
    });
    ended
}

/// The processes that name a folder, with their command lines: QEMU does in its arguments, the program in its
/// settings. A process that has ended names nothing.
pub fn processes_of(folder: &Path) -> Vec<(i32, String)> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let names = |text: &[u8]| text.windows(folder.len()).any(|window| window == folder);
            (names(&line) || names(&environment)).then(|| (pid, String::from_utf8_lossy(&line).into_owned()))
        })
        .collect()
}

pub fn signal(pid: i32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "send {name} to {pid}");
}

/// The processes that a process has started, and those that were left to it.
pub fn children(pid: i32) -> Vec<i32> {
    let parent = format!("PPid:\t{pid}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|number| {
            let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
            status.lines().any(|line| line == parent)
        })
        .collect()
}
