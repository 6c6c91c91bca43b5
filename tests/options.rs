//! Options of the attribute that reach into the store: tags, writes that invalidate, secret
//! arguments, codecs.

mod options {
    mod codec;
    mod invalidates;
    mod secret;
    mod tags;
}
