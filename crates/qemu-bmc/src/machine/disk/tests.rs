use super::*;

#[test]
fn a_serial_number_is_the_disks_own_and_fits_every_bus() {
    let node = Uuid::from_u128(7);
    assert_eq!(derived_serial(node, 1), derived_serial(node, 1));
    assert_ne!(derived_serial(node, 1), derived_serial(node, 2));
    assert_ne!(derived_serial(node, 1), derived_serial(Uuid::from_u128(8), 1));
    assert!(derived_serial(node, 9).len() <= 20);
}

#[test]
fn sizes_are_said_as_people_say_them() {
    assert_eq!(size_text(20 << 30), "20G");
    assert_eq!(size_text((1 << 30) + (512 << 20)), "1536M");
    assert_eq!(size_text(1000), "1000 bytes");
}
