//! NATS: "Client Protocol".
//!
//! - The server greets with a line: `INFO`, in any case, white space, and a JSON object. TLS is to start if one of its
//!   members `tls_required` and `tls_available` is `true`.
//! - `-ERR` in its place, in any case, with or without its dash and with anything but a letter or digit behind it, ends the session.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::json::member;
use crate::talk::{End, Outcome, Talk, is, no};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let line = talk.line()?;
    let end = line.iter().position(|byte| b" \t".contains(byte)).unwrap_or(line.len());
    let (operation, info) = line.split_at(end);
    if no(line.strip_prefix(b"-").unwrap_or(&line), "ERR").is_some() {
        return Err(End::closing("-ERR"));
    }
    let (Some(required), Some(available)) = (member(info, "tls_required"), member(info, "tls_available")) else {
        return Err(End::Unexpected);
    };
    if !is(operation, "INFO") {
        return Err(End::Unexpected);
    }
    talk.advertised = Some(required || available);
    if required || available { Ok(()) } else { Err(End::NotAdvertised) }
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let operation = *choice.choose(&["INFO ", "info\t", "Info  "])?;
    let info = object(&["\"tls_required\":true", "\"tls_available\" : true", "\"tls_\\u0072equired\":true"], choice)?;
    Ok(vec![format!("{operation}{info}{}", choice.choose(&["\r\n", " \r\n", "\n"])?).into_bytes()])
}

/// An object with one of these members, among others.
pub(crate) fn object(members: &[&str], choice: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let mut object = "{".to_owned();
    for _ in 0..choice.int_in_range(0..=4)? {
        object += choice.choose(&[
            "\"a\":{\"tls_required\":false,\"tls_v1\":[]},",
            "\"b\":[1,-2.5e+3,[],{},[null,\"]}\"]],",
            "\"tls_required\":false,",
            "\"tls_v1\" : null ,",
            "\"c\\\"\":\"\\u00e9\\\\\", ",
            "\"\":0,",
        ])?;
    }
    object += choice.choose(members)?;
    object += choice.choose(&["}", ",\"x\":[{\"tls_v1\":false}]}", "\t,\"y\":{}}"])?;
    Ok(object)
}
