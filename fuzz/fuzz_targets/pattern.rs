#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recached_runtime::fuzz::pattern(data));
