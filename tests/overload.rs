//! Overload: too large values and too many keys, in the process and on the server (G9). Every call
//! returns the right value, and the overload leaves nothing behind.

mod overload {
    mod burst;
    mod damaged;
    mod dropped;
    mod full;
    mod giant;
    mod names;
    mod small;
    mod stolen;
    mod unreadable;
}
