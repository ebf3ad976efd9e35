//! Messages against bytes that are known: those of the specification's layout, written out.
#![cfg(target_endian = "little")]

use super::*;

const PING: Method = Method { destination: "a.b", path: "/", interface: "c.d", member: "Ping" };

#[test]
fn a_call_without_arguments_has_these_bytes() {
    let expected: Vec<u8> = [
        &b"l\x01\x00\x01"[..], // little endian, call, no flags, version 1
        b"\x00\x00\x00\x00",   // no body
        b"\x07\x00\x00\x00",   // serial 7
        b"\x3c\x00\x00\x00",   // 60 bytes of fields
        b"\x01\x01o\x00\x01\x00\x00\x00/\x00\x00\x00\x00\x00\x00\x00", // path
        b"\x02\x01s\x00\x03\x00\x00\x00c.d\x00\x00\x00\x00\x00", // interface
        b"\x03\x01s\x00\x04\x00\x00\x00Ping\x00\x00\x00\x00", // member
        b"\x06\x01s\x00\x03\x00\x00\x00a.b\x00", // destination
        b"\x00\x00\x00\x00",   // to a multiple of 8
    ]
    .concat();
    let bytes = call(7, PING, &[]);
    assert_eq!(bytes, expected);
    assert_eq!(length(&bytes[..FIXED]), Some(bytes.len()));
}

#[test]
fn every_type_is_aligned() {
    let mut writer = Writer::default();
    for value in [
        Value::Byte(1),
        Value::U32(2),
        Value::Bool(true),
        Value::U64(3),
        Value::text("ab"),
        Value::U16(4),
        Value::Array("(st)".into(), vec![]),
    ] {
        writer.put(&value);
    }
    let expected: Vec<u8> = [
        &b"\x01\x00\x00\x00"[..],
        b"\x02\x00\x00\x00",
        b"\x01\x00\x00\x00",
        b"\x00\x00\x00\x00",
        b"\x03\x00\x00\x00\x00\x00\x00\x00",
        b"\x02\x00\x00\x00ab\x00\x00",
        b"\x04\x00\x00\x00\x00\x00\x00\x00", // the array's length begins at a multiple of 4,
        b"\x00\x00\x00\x00",                 // and its first element would at one of 8
    ]
    .concat();
    // 24 bytes to the text, 8 of text, 2 + 2 of the number, 4 of the length: at 40 already.
    assert_eq!(writer.bytes, expected[..writer.bytes.len()]);
    assert_eq!(writer.bytes.len(), 40);
}

/// A property as systemd wants it, byte by byte.
#[test]
fn a_property_has_these_bytes() {
    let mut writer = Writer::default();
    let value = Value::Variant(Box::new(Value::U64(0x0102)));
    let property = Value::Struct(vec![Value::text("MemoryMax"), value]);
    writer.put(&Value::Array("(sv)".into(), vec![property]));
    let expected: Vec<u8> = [
        &b"\x20\x00\x00\x00\x00\x00\x00\x00"[..], // 32 bytes of elements, which begin at 8
        b"\x09\x00\x00\x00MemoryMax\x00",
        b"\x01t\x00\x00\x00\x00\x00\x00\x00", // signature, then to a multiple of 8
        b"\x00\x00\x00\x00\x00\x00\x00",
    ]
    .concat();
    assert_eq!(writer.bytes[..22], expected[..22]);
    assert_eq!(writer.bytes[22..25], *b"\x01t\x00");
    assert_eq!(writer.bytes[32..40], 0x0102_u64.to_le_bytes());
    assert_eq!(writer.bytes.len(), 40);
}

/// What is written is read: a call of one's own with every type in it.
#[test]
fn what_is_written_is_read() {
    let arguments = vec![
        Value::Bool(true),
        Value::I16(-2),
        Value::I32(-3),
        Value::I64(-4),
        Value::Double(1.5_f64.to_bits()),
        Value::Path("/a/b".into()),
        Value::Signature("a(sv)".into()),
        Value::bytes(&[1, 2, 3]),
        Value::pairs([("a".into(), "b".into())]),
        Value::Variant(Box::new(Value::Variant(Box::new(Value::text("x"))))),
    ];
    let bytes = call(1, PING, &arguments);
    let message = decode(&bytes).unwrap();
    assert_eq!(message.body, arguments);
    assert_eq!((message.kind, message.member.as_str()), (Kind::Other, "Ping"));
}

#[test]
fn damaged_messages_are_refused() {
    let good = call(1, PING, &[Value::pairs([("a".into(), "b".into())]), Value::text("c")]);
    assert!(decode(&good).is_some());
    for cut in 0..good.len() {
        assert!(decode(&good[..cut]).is_none(), "cut at {cut}");
    }
    // No byte makes the reader panic, hang or take memory without bound.
    for at in 0..good.len() {
        for byte in [0, 1, b'(', b'a', b'v', 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            let _any = decode(&bad);
            let _any = length(&bad[..FIXED]);
        }
    }
    let mut other_order = good.clone();
    other_order[0] = b'B';
    assert_eq!(length(&other_order[..FIXED]), None);
    let mut endless = good;
    endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(length(&endless[..FIXED]), None);
}

#[test]
fn values_that_nest_without_end_are_refused() {
    let mut deep = Value::text("x");
    for _ in 0..40 {
        deep = Value::Variant(Box::new(deep));
    }
    assert!(decode(&call(1, PING, &[deep])).is_none());
}
