#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wulog_fuzz::checks::report::check(bytes));
