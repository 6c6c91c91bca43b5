use recached::cached;

trait Shape {
    fn area(&self) -> u64;
}

#[cached(ttl = 60)]
fn area(shape: &dyn Shape) -> u64 {
    shape.area()
}

#[cached(ttl = 60)]
fn sum(shapes: Vec<Box<dyn Shape>>) -> u64 {
    shapes.iter().map(|shape| shape.area()).sum()
}

fn main() {}
