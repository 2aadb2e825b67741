//! Takes the callbacks out of a proxy-wasm module that it has no use for: `serin-prune MODULE`. The SDK exports
//! all of them, and the proxy enters the module for each that it finds, at every request, if only to hear
//! "continue". The file is replaced as a whole; a module that is pruned already stays as it is.

use std::path::Path;
use std::process::ExitCode;

/// The exports that stay: what the proxy needs to run a module at all, and the callbacks that proxy.rs answers.
const KEPT: [&str; 16] = [
    "memory",
    "malloc",
    "proxy_on_memory_allocate",
    "_initialize",
    "_start",
    "proxy_abi_version_0_2_1",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_log",
    "proxy_on_done",
    "proxy_on_delete",
];

/// The preamble of every module: `\0asm`, version 1.
const PREAMBLE: &[u8] = b"\0asm\x01\0\0\0";
const EXPORT_SECTION: u8 = 7;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: serin-prune MODULE");
        return ExitCode::from(2);
    };
    match prune_file(Path::new(&file)) {
        Ok(dropped) => {
            println!("serin-prune: {dropped} exports taken out of {file}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("serin-prune: {file}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prune_file(file: &Path) -> Result<usize, String> {
    let module = std::fs::read(file).map_err(|error| error.to_string())?;
    let (pruned, dropped) = prune(&module).ok_or("this is no wasm module")?;
    // Cargo links its own copy to this name: written over in place, that would change too.
    let half = file.with_extension("half");
    std::fs::write(&half, pruned)
        .and_then(|()| std::fs::rename(&half, file))
        .map_err(|error| error.to_string())?;
    Ok(dropped)
}

/// The module with only [`KEPT`] exports, and how many were dropped; none if it is no module.
/// Format: WebAssembly Core Specification 2.0, 5.5, Modules.
fn prune(module: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = module.strip_prefix(PREAMBLE)?;
    let mut out = PREAMBLE.to_vec();
    let mut dropped = 0;
    while let Some((id, after)) = rest.split_first() {
        let mut after = after;
        let size = number(&mut after)?;
        let (body, next) = after.split_at_checked(size)?;
        out.push(*id);
        if *id == EXPORT_SECTION {
            let (kept, gone) = prune_exports(body)?;
            dropped += gone;
            write_number(kept.len(), &mut out);
            out.extend(kept);
        } else {
            write_number(size, &mut out);
            out.extend(body);
        }
        rest = next;
    }
    Some((out, dropped))
}

fn prune_exports(mut body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let count = number(&mut body)?;
    let (mut kept, mut entries) = (0, Vec::<u8>::new());
    for _ in 0..count {
        let begin = body;
        let length = number(&mut body)?;
        let (name, after) = body.split_at_checked(length)?;
        let (_kind, mut after) = after.split_first()?;
        number(&mut after)?;
        body = after;
        if KEPT.iter().any(|known| known.as_bytes() == name) {
            kept += 1;
            entries.extend(begin.get(..begin.len() - body.len())?);
        }
    }
    let mut section = Vec::new();
    write_number(kept, &mut section);
    section.extend(entries);
    Some((section, count - kept))
}

/// An unsigned LEB128 of at most 32 bits.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn write_number(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one custom section and these exports of function 300.
    fn module(exports: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        write_number(exports.len(), &mut body);
        for name in exports {
            write_number(name.len(), &mut body);
            body.extend(name.as_bytes());
            body.extend([0, 0xac, 0x02]);
        }
        let mut module = PREAMBLE.to_vec();
        module.extend([0, 2, 1, b'x', EXPORT_SECTION]);
        write_number(body.len(), &mut module);
        module.extend(body);
        module
    }

    #[test]
    fn what_the_proxy_needs_stays_and_the_rest_goes() {
        let full = module(&["memory", "proxy_on_response_body", "proxy_on_log", "__heap_base"]);
        let (pruned, dropped) = prune(&full).expect("a module");
        assert_eq!((pruned, dropped), (module(&["memory", "proxy_on_log"]), 2));
    }

    #[test]
    fn a_pruned_module_stays_as_it_is() {
        let once = module(&KEPT);
        assert_eq!(prune(&once), Some((once.clone(), 0)));
    }

    #[test]
    fn what_is_cut_short_is_no_module() {
        let full = module(&["memory"]);
        assert_eq!(prune(b"#!/bin/sh"), None);
        assert_eq!(prune(&full[..full.len() - 1]), None);
    }
}
