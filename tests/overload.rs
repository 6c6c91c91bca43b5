//! More than there is room for: of values, of keys, in the process and on the server (G9). Every
//! call is answered right, and what was too much leaves nothing behind.

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
