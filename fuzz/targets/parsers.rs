//! What people write is read or refused: scripts, the names of protocols, the targets of the tool.

#![no_main]

use libfuzzer_sys::fuzz_target;
use starttls::protocol::Script;
use starttls::{Negotiation, Protocol};
use starttls_replay::{Transcript, drive};

#[allow(dead_code, reason = "the tool needs more of it")]
#[path = "../../cli/src/target.rs"]
mod target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, text)) = input.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    match kind % 5 {
        0 => {
            let (script, server) = text.split_once('\0').unwrap_or((text, ""));
            let Ok(script) = script.parse::<Script>() else { return };
            let turns: Vec<Vec<&[u8]>> = server.split('\0').map(|turn| vec![turn.as_bytes()]).collect();
            drive(Negotiation::required(script), &turns, true);
        }
        1 => match text.parse::<Protocol>() {
            Ok(protocol) => {
                assert!(protocol.names().iter().any(|name| name.eq_ignore_ascii_case(text)));
                assert_eq!(protocol.to_string().parse(), Ok(protocol));
            }
            Err(error) => drop(error.to_string()),
        },
        2 => {
            for starttls in [None, Some("imap")] {
                if let Ok(target) = target::Target::parse(text, starttls) {
                    let protocol = target.protocol.expect("no script");
                    let host =
                        if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
                    let text = format!("{protocol}://{host}:{}", target.port);
                    let again = target::Target::parse(&text, None);
                    assert_eq!(again, Ok(target::Target { text, ..target }), "it is read as it is written");
                }
            }
        }
        3 => drop(target::Target::scripted(text)),
        _ => drop(text.parse::<Transcript>()),
    }
});
