use proptest::prelude::*;

use super::*;
use crate::serve::vnc::placeholder;

const VGA: Size = placeholder::SIZE;
const XGA: Size = Size { width: 1024, height: 768 };
const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0xff, 0x1b];
const RGB565: [u8; 16] = [16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
const ENCODINGS: [u8; 12] = [2, 0, 0, 2, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0x21];
const BELL: [u8; 1] = [2];
/// An update with one pixel.
const PIXEL: [u8; 20] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];

fn request(incremental: bool) -> [u8; 10] {
    [3, u8::from(incremental), 0, 0, 0, 0, 2, 128, 1, 224]
}

fn set_format(format: [u8; 16]) -> Vec<u8> {
    [&[0; 4][..], &format].concat()
}

fn say(session: &mut Session, message: &[u8]) {
    session.handle_viewer(&mut message.to_vec()).unwrap();
}

/// Returns all that is due to the viewer, as if it read everything.
fn drain(session: &mut Session) -> Vec<u8> {
    let mut drained = Vec::new();
    loop {
        session.produce().unwrap();
        if session.to_viewer.is_empty() {
            return drained;
        }
        drained.append(&mut session.to_viewer);
    }
}

fn to_qemu(session: &mut Session) -> Vec<u8> {
    mem::take(&mut session.to_qemu)
}

fn briefing(format: [u8; 16], encodings: &[u8], size: Size) -> Vec<u8> {
    let mut briefing = set_format(format);
    briefing.extend(encodings);
    briefing.extend([3, 0, 0, 0, 0, 0]);
    size.put(&mut briefing);
    briefing
}

fn streaming() -> Session {
    let mut session = Session::new(VGA);
    session.attach(VGA);
    say(&mut session, &ENCODINGS);
    say(&mut session, &request(false));
    assert_eq!(drain(&mut session), [0; 0]);
    session.to_qemu.clear();
    session
}

const PICTURE: usize = 16 + 640 * 480 * 4;

#[test]
fn a_picture_answers_a_request_once_until_it_changes() {
    let mut session = Session::new(VGA);
    assert_eq!(drain(&mut session).len(), 0, "nobody asked");
    say(&mut session, &request(false));
    let off = drain(&mut session);
    assert_eq!(off.len(), PICTURE);
    say(&mut session, &request(true));
    assert_eq!(drain(&mut session).len(), 0, "nothing new");
    session.detach(Notice::PowerOff);
    assert_eq!(drain(&mut session).len(), 0, "still nothing new");
    session.detach(Notice::NoSignal);
    let no_signal = drain(&mut session);
    assert_eq!(no_signal.len(), PICTURE);
    assert_ne!(no_signal, off);
    say(&mut session, &request(false));
    assert_eq!(drain(&mut session), no_signal);
}

#[test]
fn a_fresh_qemu_is_told_what_the_viewer_said_and_the_viewer_of_its_size() {
    let mut session = Session::new(VGA);
    for message in [&set_format(RGB565), &ENCODINGS[..], &request(true)] {
        say(&mut session, message);
    }
    drain(&mut session);
    say(&mut session, &request(true));
    session.attach(XGA);
    let resize = [0, 0, 0, 1, 0, 0, 0, 0, 4, 0, 3, 0, 0xff, 0xff, 0xff, 0x21];
    assert_eq!(drain(&mut session), resize);
    assert_eq!(to_qemu(&mut session), briefing(RGB565, &ENCODINGS, XGA));
}

#[test]
fn qemu_is_asked_for_nothing_before_the_viewer_asks() {
    let mut session = Session::new(VGA);
    session.attach(VGA);
    for message in [&KEY[..], &set_format(RGB565), &ENCODINGS] {
        say(&mut session, message);
    }
    session.produce().unwrap();
    assert_eq!(to_qemu(&mut session), KEY);
    assert!(!session.is_reopening());
    say(&mut session, &request(true));
    session.produce().unwrap();
    assert_eq!(to_qemu(&mut session), briefing(RGB565, &ENCODINGS, VGA));
}

#[test]
fn messages_pass_in_both_directions() {
    let mut session = streaming();
    let messages = [&request(true)[..], &KEY, &[2, 0, 0, 1, 0, 0, 0, 0], &[5, 0, 0, 1, 0, 1]].concat();
    say(&mut session, &messages);
    assert_eq!(to_qemu(&mut session), messages);
    let mut stream = [&BELL[..], &PIXEL, &PIXEL[..17]].concat();
    session.handle_qemu(&mut stream).unwrap();
    assert_eq!(drain(&mut session), [&BELL[..], &PIXEL, &PIXEL[..17]].concat());
    assert!(stream.is_empty());
}

#[test]
fn the_last_size_that_qemu_told_is_the_size_of_the_picture() {
    let mut session = streaming();
    let mut resize = vec![0, 0, 0, 1];
    XGA.put_rectangle(encodings::DESKTOP_SIZE, &mut resize);
    session.handle_qemu(&mut resize).unwrap();
    drain(&mut session);
    session.detach(Notice::PowerOff);
    assert_eq!(drain(&mut session).len(), 16 + 1024 * 768 * 4, "the request is still open");
}

#[test]
fn a_picture_that_qemu_began_is_finished_before_ours_begins() {
    for cut in 0..=PIXEL.len() {
        let mut session = streaming();
        session.handle_qemu(&mut PIXEL[..cut].to_vec()).unwrap();
        session.detach(Notice::PowerOff);
        assert_eq!(session.takes_qemu(), cut < 4 || cut == PIXEL.len(), "cut at {cut}");
        say(&mut session, &request(false));
        let shown = drain(&mut session);
        let begun = match cut {
            0..4 => 0,
            // The header, and an empty rectangle in place of the one that was not begun.
            4..16 => 4 + 12,
            _ => PIXEL.len(),
        };
        assert_eq!(shown.len(), begun + PICTURE, "cut at {cut}");
    }
}

#[test]
fn input_is_ignored_while_there_is_no_machine() {
    let mut session = Session::new(VGA);
    say(&mut session, &KEY);
    session.attach(VGA);
    session.produce().unwrap();
    assert_eq!(to_qemu(&mut session), [0; 0]);
    session.detach(Notice::PowerOff);
    say(&mut session, &KEY);
    assert_eq!(to_qemu(&mut session), [0; 0]);
}

#[test]
fn a_new_pixel_format_takes_a_new_connection() {
    let mut session = streaming();
    say(&mut session, &set_format(PixelFormat::NATIVE.emit()));
    assert!(!session.is_reopening(), "the format is the same");
    say(&mut session, &set_format(RGB565));
    assert!(session.is_reopening());
    say(&mut session, &request(true));
    session.attach(VGA);
    assert!(!session.is_reopening());
    assert_eq!(drain(&mut session), [0; 0], "no picture of ours in between");
    assert_eq!(to_qemu(&mut session), briefing(RGB565, &ENCODINGS, VGA));
}

#[test]
fn a_viewer_that_cannot_resize_stays_if_the_screen_fits() {
    let attach = |from: Size, to: Size| {
        let mut session = Session::new(from);
        say(&mut session, &request(false));
        session.attach(to);
        session.produce()
    };
    assert_eq!(attach(XGA, VGA), Ok(()));
    assert_eq!(attach(VGA, XGA), Err(SessionError::CannotResize { from: VGA, to: XGA }));
}

#[test]
fn what_waits_is_bounded() {
    let mut session = Session::new(VGA);
    say(&mut session, &request(false));
    session.produce().unwrap();
    assert!(session.to_viewer.len() < HIGH_WATER + 640 * 4);
    let mut session = streaming();
    assert!(session.takes_qemu() && session.takes_viewer());
    session.handle_qemu(&mut vec![2; HIGH_WATER]).unwrap();
    assert!(!session.takes_qemu());
    say(&mut session, &KEY.repeat(HIGH_WATER_INPUT / KEY.len()));
    assert!(!session.takes_viewer());
}

#[derive(Clone, Debug)]
enum Event {
    Viewer(Vec<u8>),
    Qemu(Vec<u8>),
    Attach(Size),
    Detach(Notice),
    Read(usize),
}

fn any_event() -> impl Strategy<Value = Event> {
    let sizes = (1u16..50, 1u16..50).prop_map(|(width, height)| Size { width, height });
    prop_oneof![
        any::<bool>().prop_map(|incremental| Event::Viewer(request(incremental).to_vec())),
        Just(Event::Viewer(KEY.to_vec())),
        Just(Event::Viewer(ENCODINGS.to_vec())),
        (1..=PIXEL.len()).prop_map(|length| Event::Qemu(PIXEL[..length].to_vec())),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Event::Qemu),
        sizes.prop_map(Event::Attach),
        prop::sample::select(vec![Notice::PowerOff, Notice::NoSignal]).prop_map(Event::Detach),
        (1usize..10_000).prop_map(Event::Read),
    ]
}

proptest! {
    #[test]
    fn the_viewer_gets_whole_messages_whatever_happens(events in prop::collection::vec(any_event(), 0..40)) {
        let size = Size { width: 40, height: 30 };
        let mut session = Session::new(size);
        say(&mut session, &ENCODINGS);
        let (mut shown, mut held) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Viewer(message) => say(&mut session, &message),
                Event::Qemu(bytes) if session.takes_qemu() => {
                    held.extend(bytes);
                    if session.handle_qemu(&mut held).is_err() {
                        return Ok(());
                    }
                }
                Event::Qemu(_) => {}
                Event::Attach(size) => {
                    session.detach(Notice::NoSignal);
                    held.clear();
                    session.attach(size);
                }
                Event::Detach(notice) => {
                    held.clear();
                    session.detach(notice);
                }
                Event::Read(length) => {
                    let length = length.min(session.to_viewer.len());
                    shown.extend(session.to_viewer.drain(..length));
                }
            }
            session.produce().unwrap();
        }
        session.detach(Notice::PowerOff);
        shown.extend(drain(&mut session));
        let mut viewer = Delimiter::new(size, PixelFormat::NATIVE);
        prop_assert_eq!(viewer.scan(&mut shown).map(|scanned| scanned.ready), Ok(shown.len()));
        prop_assert!(viewer.is_between_messages());
    }
}
