use recached::invalidates;

#[invalidates("user*")]
struct User;

fn main() {}
