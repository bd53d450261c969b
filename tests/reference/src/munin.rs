//! Munin: the source of `Munin::Node::Server` and `Munin::Common::TLSServer`.
//!
//! - The banner is `# munin node at NAME`; any other comment in its place ends the session.
//! - STARTTLS is answered with `TLS OK`. `TLS MAYBE`, in any case, leaves no way on; a comment is a refusal.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let code = |code: &str| code.to_owned();
    if talk.client.options.start == Start::Greeting {
        let banner = talk.line()?;
        if !banner.starts_with(b"#") {
            return Err(End::Unexpected);
        }
        if !banner.starts_with(b"# munin node at ") {
            return Err(End::Closing { code: code("#"), temporary: false });
        }
    }
    talk.say("STARTTLS\n")?;
    match &talk.line()?[..] {
        b"TLS OK" => Ok(()),
        line if line.eq_ignore_ascii_case(b"TLS MAYBE") => {
            Err(End::Closing { code: code("TLS MAYBE"), temporary: false })
        }
        [b'#', ..] => Err(End::Refused { code: code("#"), temporary: false }),
        _ => Err(End::Unexpected),
    }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turns = Vec::new();
    if client.options.start == Start::Greeting {
        turns.push(
            choice.choose(&["# munin node at node.example\n", "# munin node at  # TLS OK\r\n"])?.as_bytes().to_vec(),
        );
    }
    turns.push(choice.choose(&["TLS OK\n", "TLS OK\r\n"])?.as_bytes().to_vec());
    Ok(turns)
}
