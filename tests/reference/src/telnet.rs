//! Telnet: RFC 854 (commands), RFC 855 (options), draft-altman-telnet-starttls.
//!
//! - The server says commands only: 255, then 241, 242 or 249; or 251 to 254 and an option; or 250, parameters in which 255
//!   stands twice, and 255 240. No other command, and no data.
//! - It offers with `DO START_TLS` (253 46), and goes ahead with `SB START_TLS FOLLOWS` (250 46 1). `DONT` and `WONT` of it
//!   refuse. Nothing else of START_TLS is allowed, but for a second offer behind the answer to the first.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    if talk.client.options.start == Start::Greeting {
        while start_tls(talk)? != [253, 46] {}
        talk.advertised = Some(true);
    }
    talk.ask([255, 251, 46, 255, 250, 46, 1, 255, 240])?;
    while start_tls(talk)? == [253, 46] {
        talk.pass();
    }
    Ok(())
}

/// The next command that is about START_TLS, if it is allowed.
fn start_tls(talk: &mut Talk<'_>) -> Result<Vec<u8>, End> {
    let awaits_offer = talk.client.options.start == Start::Greeting && talk.advertised.is_none();
    loop {
        let command = command(talk)?;
        match command[..] {
            [253, 46] => return Ok(command),
            [250, 46, 1] if !awaits_offer => return Ok(command),
            [252, 46] => return Err(End::refused("WONT")),
            [254, 46] => return Err(End::refused("DONT")),
            [_, 46, ..] => return Err(End::Unexpected),
            _ => talk.pass(),
        }
    }
}

fn command(talk: &mut Talk<'_>) -> Result<Vec<u8>, End> {
    if talk.byte()? != 255 {
        return Err(End::Unexpected);
    }
    let mut command = vec![talk.byte()?];
    match command[0] {
        241 | 242 | 249 => {}
        251..=254 => command.push(talk.byte()?),
        250 => loop {
            command.push(talk.byte()?);
            if command.ends_with(&[255]) {
                match talk.byte()? {
                    255 => {}
                    240 => {
                        command.pop();
                        break;
                    }
                    _ => return Err(End::Unexpected),
                }
            }
        },
        _ => return Err(End::Unexpected),
    }
    Ok(command)
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turns = Vec::new();
    if client.options.start == Start::Greeting {
        turns.push([&passed_over(choice)?[..], &[255, 253, 46]].concat());
    }
    let again: &[u8] = if choice.arbitrary()? { &[255, 253, 46] } else { &[] };
    turns.push([&passed_over(choice)?[..], again, &[255, 250, 46, 1, 255, 240]].concat());
    Ok(turns)
}

fn passed_over(choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut commands = Vec::new();
    for _ in 0..choice.int_in_range(0..=3)? {
        commands.extend(*choice.choose(&[
            &[255, 253, 24][..],
            &[255, 251, 1],
            &[255, 254, 255],
            &[255, 250, 24, 1, 255, 240],
            &[255, 250, 24, 255, 255, 46, 1, 255, 255, 255, 240],
            &[255, 241],
            &[255, 242, 255, 249],
        ])?);
    }
    Ok(commands)
}
