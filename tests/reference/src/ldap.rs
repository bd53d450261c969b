//! LDAP: RFC 4511 §4.1.1, §4.4, §4.12, §4.14 and §5.1; X.690 §8.1.
//!
//! - A message is elements of BER: a tag of one byte, a length of one byte or of one to four behind `80` plus their count,
//!   and contents. No element goes beyond the end of the one that it is in.
//! - SEQUENCE { messageID, 0 or 1 in one byte; [APPLICATION 24] { resultCode, in 1 to 4 bytes and none too many; matchedDN;
//!   diagnosticMessage; then maybe referral [3], responseName [10], responseValue [11] }; then maybe controls [0] }.
//! - messageID 1 is the response. Its name is ours, or none. 0 is a notification, which has a name: the Notice of
//!   Disconnection ends the session, others are passed over.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.ask(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037")?;
    loop {
        let message = hear(talk)?;
        let (id, code, name) = parse(&message).ok_or(End::Unexpected)?;
        let status =
            format!("{code} {}", NAMES.iter().find(|(number, _)| *number == code).map_or("unknown", |(_, name)| name));
        let temporary = matches!(code, 51 | 52);
        match (id, name) {
            (1, None | Some(b"1.3.6.1.4.1.1466.20037")) if code == 0 => return Ok(()),
            (1, None | Some(b"1.3.6.1.4.1.1466.20037")) => return Err(End::Refused { code: status, temporary }),
            (0, Some(b"1.3.6.1.4.1.1466.20036")) => return Err(End::Closing { code: status, temporary }),
            (0, Some([_, ..])) => talk.pass(),
            _ => return Err(End::Unexpected),
        }
    }
}

/// Hears a message, and gives what is in it.
fn hear(talk: &mut Talk<'_>) -> Result<Vec<u8>, End> {
    let header = talk.bytes(2)?;
    if header[0] != 0x30 {
        return Err(End::Unexpected);
    }
    let length = match header[1] {
        length @ ..=0x7f => usize::from(length),
        count @ 0x81..=0x84 => {
            talk.bytes(usize::from(count - 0x80))?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
        _ => return Err(End::Unexpected),
    };
    talk.bytes(length)
}

/// The messageID, the resultCode, and the name, if there is one.
fn parse(mut message: &[u8]) -> Option<(u8, u32, Option<&[u8]>)> {
    let [id @ (0 | 1)] = *take(&mut message, 0x02)? else { return None };
    let mut response = take(&mut message, 0x78)?;
    let code = take(&mut response, 0x0a)?;
    if !(1..=4).contains(&code.len()) || code.len() > 1 && code[0] == 0 && code[1] < 0x80 {
        return None;
    }
    let code = code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
    take(&mut response, 0x04)?;
    take(&mut response, 0x04)?;
    let mut referral = take(&mut response, 0xa3).unwrap_or_default();
    while !referral.is_empty() {
        take(&mut referral, 0x04)?;
    }
    let name = take(&mut response, 0x8a);
    take(&mut response, 0x8b);
    let mut controls = take(&mut message, 0xa0).unwrap_or_default();
    while !controls.is_empty() {
        let mut control = take(&mut controls, 0x30)?;
        while let Some(tag) = control.first().copied() {
            let contents = take(&mut control, tag)?;
            // Nothing is nested as deep as this.
            if tag & 0x1f == 0x1f || tag & 0x20 != 0 && !contents.is_empty() {
                return None;
            }
        }
    }
    (response.is_empty() && message.is_empty()).then_some((id, code, name))
}

/// Takes the contents of an element with this tag off the front, if there is one.
fn take<'a>(elements: &mut &'a [u8], expected: u8) -> Option<&'a [u8]> {
    let (&[tag, first], mut rest) = elements.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first - 0x80);
        if !(1..=4).contains(&count) || rest.len() < count {
            return None;
        }
        length = rest[..count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = &rest[count..];
    }
    if tag != expected || length > rest.len() {
        return None;
    }
    let (contents, behind) = rest.split_at(length);
    *elements = behind;
    Some(contents)
}

/// RFC 4511 appendix A.
const NAMES: [(u32, &str); 39] = [
    (0, "success"),
    (1, "operationsError"),
    (2, "protocolError"),
    (3, "timeLimitExceeded"),
    (4, "sizeLimitExceeded"),
    (5, "compareFalse"),
    (6, "compareTrue"),
    (7, "authMethodNotSupported"),
    (8, "strongerAuthRequired"),
    (10, "referral"),
    (11, "adminLimitExceeded"),
    (12, "unavailableCriticalExtension"),
    (13, "confidentialityRequired"),
    (14, "saslBindInProgress"),
    (16, "noSuchAttribute"),
    (17, "undefinedAttributeType"),
    (18, "inappropriateMatching"),
    (19, "constraintViolation"),
    (20, "attributeOrValueExists"),
    (21, "invalidAttributeSyntax"),
    (32, "noSuchObject"),
    (33, "aliasProblem"),
    (34, "invalidDNSyntax"),
    (36, "aliasDereferencingProblem"),
    (48, "inappropriateAuthentication"),
    (49, "invalidCredentials"),
    (50, "insufficientAccessRights"),
    (51, "busy"),
    (52, "unavailable"),
    (53, "unwillingToPerform"),
    (54, "loopDetect"),
    (64, "namingViolation"),
    (65, "objectClassViolation"),
    (66, "notAllowedOnNonLeaf"),
    (67, "notAllowedOnRDN"),
    (68, "entryAlreadyExists"),
    (69, "objectClassModsProhibited"),
    (71, "affectsMultipleDSAs"),
    (80, "other"),
];

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turn = Vec::new();
    for _ in 0..choice.int_in_range(0..=2)? {
        turn.extend(response(0, b"1.3.6.1.1.21.4", choice)?);
    }
    let name = *choice.choose(&[&b""[..], b"1.3.6.1.4.1.1466.20037"])?;
    turn.extend(response(1, name, choice)?);
    Ok(vec![turn])
}

fn response(id: u8, name: &[u8], choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut fields =
        [element(0x0a, &[0], choice)?, element(0x04, b"", choice)?, element(0x04, b"a text", choice)?].concat();
    if choice.arbitrary()? {
        let uri = element(0x04, b"ldap://other.example", choice)?;
        fields.extend(element(0xa3, &uri, choice)?);
    }
    if !name.is_empty() {
        fields.extend(element(0x8a, name, choice)?);
    }
    if choice.arbitrary()? {
        fields.extend(element(0x8b, b"\x30\x03", choice)?);
    }
    let mut message = [element(0x02, &[id], choice)?, element(0x78, &fields, choice)?].concat();
    if choice.arbitrary()? {
        let control = [element(0x04, b"1.2.3", choice)?, element(0x01, &[0xff], choice)?].concat();
        let control = element(0x30, &control, choice)?;
        message.extend(element(0xa0, &control, choice)?);
    }
    element(0x30, &message, choice)
}

/// An element, with any form of its length that there is.
fn element(tag: u8, contents: &[u8], choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let length = contents.len() as u32;
    let least = if length < 0x80 { 0 } else { 4 - length.leading_zeros() as usize / 8 };
    let count = choice.int_in_range(least..=4)?;
    let mut element = vec![tag, if count == 0 { length as u8 } else { 0x80 + count as u8 }];
    element.extend(&length.to_be_bytes()[4 - count..]);
    element.extend(contents);
    Ok(element)
}
