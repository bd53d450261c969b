//! What the tool knows of each protocol.

use starttls::{Protocol, Side};

use crate::table::{Layout, table, terminal};

const HEADER: [&str; 6] = ["Protocol", "Other names", "Ports", "Reference", "First after TLS", "Round trips"];

/// The table of all protocols.
pub fn list() -> String {
    let rows: Vec<_> = Protocol::all().map(row).collect();
    format!("{}\n", table(HEADER, &rows, &Layout { right: &[5], spare: &[1, 4] }, terminal()))
}

fn row(protocol: Protocol) -> [String; HEADER.len()] {
    let first = match protocol.first_after_tls() {
        Side::Client => "client",
        Side::Server => "server",
    };
    [
        protocol.to_string(),
        protocol.names()[1..].join(", "),
        protocol.ports().iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        protocol.reference().to_owned(),
        first.to_owned(),
        protocol.round_trips().to_string(),
    ]
}
