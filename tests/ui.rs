#[test]
fn x() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
