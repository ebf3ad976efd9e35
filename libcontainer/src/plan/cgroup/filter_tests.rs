//! Tests of the device program: a small interpreter runs it against the rules themselves.

use oci_spec::runtime::LinuxDeviceCgroup;

use super::*;

/// What the kernel asks: kind, wanted access, numbers.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    kind: i32,
    access: u32,
    major: u32,
    minor: u32,
}

fn run(program: &Program, wanted: Wanted) -> u32 {
    let word = |offset: i16| match offset {
        0 => wanted.access << 16 | wanted.kind.cast_unsigned(),
        4 => wanted.major,
        8 => wanted.minor,
        other => panic!("load from {other}"),
    };
    let mut registers = [None::<u32>; 11];
    let mut at = 0;
    for _ in 0..10_000 {
        let [code, regs, o0, o1, i0, i1, i2, i3] = program.instructions()[at];
        let dst = usize::from(regs & 0xf);
        let offset = i16::from_ne_bytes([o0, o1]);
        let imm = u32::from_ne_bytes([i0, i1, i2, i3]);
        let value = || registers[dst].expect("register is set before it is used");
        at += 1;
        let jump = match code {
            LOAD_WORD => {
                registers[dst] = Some(word(offset));
                false
            }
            AND => {
                registers[dst] = Some(value() & imm);
                false
            }
            SHIFT_RIGHT => {
                registers[dst] = Some(value() >> imm);
                false
            }
            MOVE => {
                registers[dst] = Some(imm);
                false
            }
            EXIT => return registers[0].expect("an answer"),
            JUMP => true,
            JUMP_IF_EQUAL => value() == imm,
            JUMP_UNLESS_EQUAL => value() != imm,
            JUMP_IF_ANY_BIT => value() & imm != 0,
            other => panic!("code {other:#x}"),
        };
        if jump {
            at += usize::try_from(offset).expect("jumps go forward");
        }
    }
    panic!("does not end");
}

/// The v1 controller's answer (`devcgroup_legacy_check_permission`).
fn model(list: &DeviceList, wanted: Wanted) -> bool {
    let about = |e: &&Exception| {
        let kind = if e.kind == Kind::Char { CHAR } else { BLOCK };
        kind == wanted.kind
            && e.major.is_none_or(|n| n == wanted.major)
            && e.minor.is_none_or(|n| n == wanted.minor)
    };
    let mut about = list.exceptions.iter().filter(about);
    if list.default_allow {
        !about.any(|e| u32::from(e.access.bits()) & wanted.access != 0)
    } else {
        about.any(|e| wanted.access & !u32::from(e.access.bits()) == 0)
    }
}

fn agree(list: &DeviceList) {
    let program = program(list).unwrap().expect("not everything is allowed");
    for kind in [BLOCK, CHAR] {
        for access in 1..8 {
            for major in [0, 1, 5, 8, 10, 136, u32::MAX] {
                for minor in [0, 3, 5, 200, 229, u32::MAX] {
                    let wanted = Wanted { kind, access, major, minor };
                    let answer = run(&program, wanted);
                    assert_eq!(answer == 1, model(list, wanted), "{wanted:?} of {list:?}");
                }
            }
        }
    }
}

fn list(rules: serde_json::Value) -> DeviceList {
    let rules: Vec<LinuxDeviceCgroup> = serde_json::from_value(rules).unwrap();
    DeviceList::build(&rules, &[]).unwrap()
}

#[test]
fn program_decides_as_the_v1_controller_does() {
    agree(&list(serde_json::json!([])));
    agree(&list(serde_json::json!([
        {"allow": true, "type": "b", "major": 8, "access": "r"},
        {"allow": true, "type": "b", "minor": 3, "access": "w"},
        {"allow": true, "type": "c", "major": 4_294_967_295_u32, "minor": 5, "access": "rw"},
    ])));
    agree(&list(serde_json::json!([
        {"allow": true, "access": "rwm"},
        {"allow": false, "type": "b", "major": 8, "access": "w"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rm"},
        {"allow": false, "type": "b", "minor": 5, "access": "rwm"},
    ])));
    agree(&DeviceList { default_allow: true, exceptions: vec![] }.with(Kind::Block, None, None));
    agree(&DeviceList::default());
}

impl DeviceList {
    fn with(mut self, kind: Kind, major: Option<u32>, minor: Option<u32>) -> Self {
        self.exceptions.push(Exception { kind, major, minor, access: Access::ALL });
        self
    }
}

#[test]
fn random_lists_agree_too() {
    let mut seed = 0x9e37_79b9_u32;
    let mut random = |below: u32| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed % below
    };
    for _ in 0..200 {
        let mut list = DeviceList { default_allow: random(2) == 0, exceptions: Vec::new() };
        for _ in 0..=random(6) {
            let number = [None, Some(1), Some(8), Some(5), Some(229)];
            let access = ["r", "w", "m", "rw", "rm", "wm", "rwm"][random(7) as usize];
            let kind = if random(2) == 0 { Kind::Char } else { Kind::Block };
            let line = Exception {
                kind,
                major: number[random(5) as usize],
                minor: number[random(5) as usize],
                access: Access::ALL,
            }
            .to_string()
            .replace("rwm", access);
            // Duplicates are merged by the reducer, never reach the program; here they may.
            list.exceptions.extend(DeviceList::parse(&line).unwrap().exceptions);
        }
        agree(&list);
    }
}

#[test]
fn everything_allowed_needs_no_program() {
    assert_eq!(program(&DeviceList { default_allow: true, exceptions: vec![] }).unwrap(), None);
}

#[test]
fn default_list_is_a_short_program() {
    let program = program(&list(serde_json::json!([]))).unwrap().unwrap();
    assert_eq!(program.instructions().len(), 33);
}

#[test]
fn too_many_rules_are_an_error() {
    let mut many = DeviceList::default();
    for minor in 0..20_000 {
        many = many.with(Kind::Char, Some(1), Some(minor));
    }
    let error = program(&many).unwrap_err();
    assert!(error.to_string().contains("more device rules"), "{error}");
}
