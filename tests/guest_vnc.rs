//! The screen, as somebody has it who automates firmware menus: vncdotool.

use std::{process::Command, time::Duration};

use crate::support::{BOOT, SOON, Setup, run};

/// Looks at the screen while the machine is off, chooses the CD in the boot menu, then the disk after a power
/// cycle, all with one connection; a second one watches.
const CHOOSES_IN_THE_MENU: &str = r#"
import re, subprocess, sys, time
from vncdotool import api

address, console_log = sys.argv[1:]

def power(what):
    client = ["ipmitool", "-I", "lanplus", "-H", address, "-p", "6230", "-U", "admin", "-P", "password"]
    subprocess.run(client + ["power", what], check=True, stdout=subprocess.DEVNULL)

def console():
    try:
        with open(console_log, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""

def wait(what, condition):
    end = time.monotonic() + 120
    while not (found := condition()):
        if time.monotonic() > end:
            sys.exit(f"{what}: not within two minutes; the console:\n{console()[-2000:]}")
        time.sleep(0.1)
    return found

def picture(viewer):
    viewer.refreshScreen()
    return viewer.screen.convert("RGB").tobytes()

def choose(entry, boots):
    wait("the prompt", lambda: console().count("Press ESC for boot menu") == boots)
    wait("a picture of the prompt", lambda: picture(user) != off)
    user.keyPress("esc")
    wait("the menu", lambda: console().count("Select boot device:") == boots)
    menu = console().rpartition("Select boot device:")[2]
    if entry not in menu:
        wait("the entry", lambda: entry in console().rpartition("Select boot device:")[2])
        menu = console().rpartition("Select boot device:")[2]
    number = re.search(r"(\d)\. [^\n]*" + entry, menu)[1]
    user.keyPress(number)
    wait("the guest", lambda: console().count("qemu-bmc-guest: ready") == boots)

user = api.connect(f"{address}::5900")
watcher = api.connect(f"{address}::5900")
user.timeout = watcher.timeout = 30
off = picture(user)
assert picture(watcher) == off, "two viewers see two pictures of one machine that is off"

power("on")
choose("DVD/CD", 1)
wait("the watcher's picture", lambda: picture(watcher) != off)
power("cycle")
choose("Virtio disk", 2)
lit = picture(user)
power("off")
# Who is there already keeps the size of the guest's screen; who comes now sees the small one.
newcomer = api.connect(f"{address}::5900")
newcomer.timeout = 30
wait("the picture of a machine that is off", lambda: picture(newcomer) == off)
wait("the same picture for all who were there", lambda: picture(user) == picture(watcher) != lit)
for viewer in user, watcher, newcomer:
    viewer.disconnect()
api.shutdown()
"#;

#[test]
fn a_boot_menu_is_used_through_the_screen() {
    let machine = Setup::new().with_disk().with_cd().with("VM_BOOT_MENU_TIMEOUT", 10_000).start();
    let mut command = Command::new("python3");
    command.args(["-c", CHOOSES_IN_THE_MENU, &machine.address().to_string()]);
    command.arg(machine.folder().join("state/console.log"));
    run(&mut command, 3 * BOOT).ok();
    assert_eq!(machine.boots(), ["medium=cdrom firmware=bios", "medium=disk firmware=bios"]);
}

#[test]
fn the_screen_asks_for_its_password() {
    let machine = Setup::new().with("VNC_PASSWORD", "right").start();
    let picture = machine.folder().join("screen.png");
    let capture = |password: Option<&str>| {
        let mut command = Command::new("vncdo");
        command.args(["-s", &format!("{}::5900", machine.address()), "--timeout", "5"]);
        if let Some(password) = password {
            command.args(["-p", password]);
        }
        command.arg("capture").arg(&picture);
        run(&mut command, Duration::from_secs(30))
    };
    capture(Some("wrong")).failed();
    assert!(!picture.exists());
    capture(Some("right")).ok();
    assert!(picture.exists());
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    std::fs::remove_file(&picture).unwrap();
    capture(Some("wrong")).failed();
    assert!(!picture.exists());
    capture(Some("right")).ok();
    assert!(picture.exists());
}
