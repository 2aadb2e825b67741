//! The value of a `cookie` header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_contract::attributes::Source;

fuzz_target!(|data: &[u8]| serin_fuzz::read(Source::Cookie("uid".to_owned()), "cookie", data));
