//! Options of the attribute that affect the store: tags, writes that invalidate, secret arguments,
//! codecs.

mod options {
    mod codec;
    mod detached;
    mod invalidates;
    mod local;
    mod patterns;
    mod releases;
    mod secret;
    mod tags;
}
