//! The value of an `authorization` header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_contract::attributes::{Claim, Source};

fuzz_target!(|data: &[u8]| {
    for claim in ["sub", "user.roles.0"] {
        let claim = Claim { header: "authorization".to_owned(), claim: claim.to_owned() };
        serin_fuzz::read(Source::Jwt(claim), "authorization", data);
    }
});
