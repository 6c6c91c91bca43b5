use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Input;
use crate::backend::stored_entry::StoredEntry;
use crate::entry::codec::Encoding;
use crate::entry::entry_writer::EntryWriter;
use crate::entry::header::{Age, EntryHeader, HEADER, Lifetimes};
use crate::invalidation::group::GenerationStamp;
use crate::key::Key;
use crate::values::returns::{OWNED, Returns};
use crate::values::value_kind::ValueKind;

/// Checks that any bytes from Redis are a value or a miss and never a panic, and that an encoded
/// value is decoded again.
pub fn entry(data: &[u8]) {
    let mut input = Input(data);
    let left = Duration::from_millis(input.number());
    // First the raw bytes, then the same bytes after a valid header.
    reads(input.0, left);
    let span = Lifetimes::new(
        Duration::from_millis(input.number()),
        Duration::from_millis(input.number()),
        Duration::from_micros(input.number()),
    );
    let stamp = GenerationStamp([input.byte(); 16]);
    let key = Key::of("ns:user:42");
    for shape in [
        (<u64 as Returns<OWNED>>::Kind::FORM.shape)(),
        (<Option<Vec<String>> as Returns<OWNED>>::Kind::FORM.shape)(),
        input.number(),
    ] {
        for codec in codecs() {
            let mark = EntryHeader::new(codec, shape, stamp, &key);
            let mut entry = mark.header(span);
            assert_eq!(Lifetimes::of(&entry), span);
            entry.extend_from_slice(input.0);
            assert_eq!(mark.payload(&entry), Some((input.0, codec)));
            reads(&entry, left);
        }
    }
}

/// More than any input takes, in bytes.
const MOST: u64 = 1 << 30;

/// Returns the encodings that are compiled in.
fn codecs() -> impl Iterator<Item = Encoding> {
    b"jJmM".iter().filter_map(|mark| Encoding::of_mark(*mark))
}

fn reads(entry: &[u8], left: Duration) {
    let span = Lifetimes::of(entry);
    let cap = Duration::from_millis(u64::from(entry.first().copied().unwrap_or_default()));
    for cap in [None, Some(cap), Some(Duration::MAX)] {
        match span.age(left, cap) {
            Age::Fresh(fresh) => assert!(fresh <= left),
            Age::Stale(past) => {
                assert!(cap.is_some() || past <= span.life.saturating_sub(span.ttl))
            }
        }
    }
    let stored = StoredEntry::Encoded(entry.to_vec());
    let Some(mark) = EntryHeader::of(entry) else {
        assert!(!stored.is_of(GenerationStamp([0; 16])));
        return;
    };
    assert!(stored.is_of(mark.stamp()));
    if codecs().any(|codec| codec.mark() == entry[3]) {
        assert_eq!(mark.header(span), &entry[..HEADER]);
    }
    is_kept::<u64>(&stored, &mark);
    is_kept::<f64>(&stored, &mark);
    is_kept::<String>(&stored, &mark);
    is_kept::<Option<Vec<String>>>(&stored, &mark);
    is_kept::<BTreeMap<String, (bool, Option<i8>)>>(&stored, &mark);
}

/// Checks that a value that can be decoded survives encoding and decoding.
fn is_kept<T>(stored: &StoredEntry, mark: &EntryHeader)
where
    T: Returns<OWNED, Value = T> + std::fmt::Debug,
{
    type Kind<T> = <T as Returns<OWNED>>::Kind;
    let form = Kind::<T>::FORM;
    let Ok(Some(held)) = stored.value(form, mark, MOST) else {
        return;
    };
    let codec = Encoding::of_mark(mark.as_bytes()[3]).expect("it was read");
    let mut draft = EntryWriter::new(mark.header(stored.span()), u64::MAX);
    let written = (form.encode)(&held, codec, &mut draft);
    assert!(written.is_ok());
    let again = draft.finish();
    let length = (again.len() - HEADER) as u64;
    let again = StoredEntry::Encoded(codec.pack(again)).value(form, mark, MOST);
    let value = |held| Kind::<T>::restore(held).map(Kind::<T>::give);
    let again = again.ok().flatten().and_then(value);
    // Compared as text, because MessagePack has floats that do not equal themselves (NaN).
    let text = |value: Option<&T>| format!("{value:?}");
    assert_eq!(
        text(again.as_ref()),
        text(value(Arc::clone(&held)).as_ref())
    );
    // The counted length is the encoded length, and the limit is exact.
    assert_eq!(
        (form.written)(&held, codec, length).map(u64::from),
        Some(length)
    );
    assert_eq!((form.written)(&held, codec, length - 1), None);
    let mut draft = EntryWriter::new(Vec::new(), length - 1);
    assert!((form.encode)(&held, codec, &mut draft).is_err());
}
