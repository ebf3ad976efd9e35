//! How the plan's C strings and byte texts print in `corten explain`: as text, lossily.

use std::ffi::CString;

use serde::Serializer;

/// One C string.
///
/// # Errors
/// Those of the serializer.
pub fn one<S: Serializer>(text: &CString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.to_string_lossy())
}

/// A list of C strings that may not be there.
///
/// # Errors
/// Those of the serializer.
pub fn optional_list<S: Serializer>(
    texts: &Option<Vec<CString>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match texts {
        Some(texts) => list(texts, serializer),
        None => serializer.serialize_none(),
    }
}

/// A list of C strings.
///
/// # Errors
/// Those of the serializer.
pub fn list<S: Serializer>(texts: &[CString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| text.to_string_lossy()))
}

/// Bytes that are a text, such as the lines of a map file.
///
/// # Errors
/// Those of the serializer.
pub fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// One C string that may be missing.
///
/// # Errors
/// Those of the serializer.
pub fn optional<S: Serializer>(text: &Option<CString>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => one(text, serializer),
        None => serializer.serialize_none(),
    }
}
