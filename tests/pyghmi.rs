//! pyghmi, the library of OpenStack and xCAT: power, boot device and console.

use crate::support::{SOON, Setup};

#[test]
fn power_is_read_and_set() {
    let machine = Setup::new().start();
    let said = machine.python(
        "
import sys
from pyghmi.ipmi.command import Command
bmc = Command(bmc=sys.argv[1], userid='admin', password='password', port=6230)
print(bmc.get_power()['powerstate'])
for state in ['on', 'reset', 'off']:
    print(state, bmc.set_power(state, wait=20))
",
    );
    let expected = "off\n\
        on {'powerstate': 'on'}\n\
        reset {'pendingpowerstate': 'reset'}\n\
        off {'powerstate': 'off'}\n";
    assert_eq!(said.ok(), expected);
    assert_eq!(machine.power(), "off");
}

#[test]
fn the_boot_device_is_read_and_set() {
    let machine = Setup::new().start();
    let said = machine.python(
        "
import sys
from pyghmi.ipmi.command import Command
bmc = Command(bmc=sys.argv[1], userid='admin', password='password', port=6230)
print(bmc.get_bootdev())
for device in ['network', 'hd', 'optical', 'setup']:
    for options in [{}, {'persist': True}, {'uefiboot': True}, {'persist': True, 'uefiboot': True}]:
        bmc.set_bootdev(device, **options)
        got = bmc.get_bootdev()
        wanted = (device, options.get('persist', False), options.get('uefiboot', False))
        assert (got['bootdev'], got['persistent'], got['uefimode']) == wanted, (got, wanted)
print(bmc.set_bootdev('default'))
",
    );
    assert_eq!(said.ok(), "{'bootdev': 'default', 'persistent': True}\n{'bootdev': 'default'}\n");
}

#[test]
fn who_does_not_know_the_password_gets_an_exception() {
    let machine = Setup::new().start();
    let said = machine.python(
        "
import sys
from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
for user, password in [('admin', 'wrong'), ('nobody', 'password')]:
    try:
        Command(bmc=sys.argv[1], userid=user, password=password, port=6230).get_power()
    except IpmiException as refusal:
        print('refused:', refusal)
",
    );
    let said = said.ok();
    assert_eq!(said.matches("refused: Incorrect password provided").count(), 1, "{said}");
    assert_eq!(said.matches("refused: ").count(), 2, "{said}");
}

#[test]
fn a_console_receives_what_the_firmware_prints() {
    let machine = Setup::new().start();
    let said = machine.python(
        "
import subprocess, sys, time
from pyghmi.ipmi.console import Console
received = b''
def take(data):
    global received
    if not isinstance(data, dict):
        received += data if isinstance(data, bytes) else data.encode()
console = Console(bmc=sys.argv[1], userid='admin', password='password', port=6230, iohandler=take, force=True)
limit = time.monotonic() + 30
while not console.connected and time.monotonic() < limit:
    console.wait_for_rsp(timeout=0.1)
assert console.connected, 'no console'
login = ['-H', sys.argv[1], '-p', '6230', '-U', 'admin', '-P', 'password']
subprocess.run(['ipmitool', '-I', 'lanplus', *login, 'power', 'on'], check=True, stdout=subprocess.DEVNULL)
while b'SeaBIOS' not in received and time.monotonic() < limit:
    console.wait_for_rsp(timeout=0.1)
print('SeaBIOS' if b'SeaBIOS' in received else received)
",
    );
    assert_eq!(said.ok().trim(), "SeaBIOS");
    machine.wait_power("on", SOON);
}
