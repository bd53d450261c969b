//! LDAP: RFC 4511 §4, §4.1.1, §4.1.9, §4.4, §4.12, §4.14 and §5.1; X.690 §8.1.
//!
//! - A message is elements of BER: a tag of one byte, a length of one byte or of one to 126 behind `80` plus their count,
//!   and contents. No element goes beyond the end of the one that it is in.
//! - SEQUENCE { messageID, 0 or 1 in one byte; [APPLICATION 24] { resultCode, in 1 to 4 bytes; matchedDN; diagnosticMessage; then
//!   maybe referral [3], responseName [10], responseValue [11] }; then maybe controls [0] }. At either end may stand elements
//!   that nobody knows.
//! - messageID 1 is the response. Success has matchedDN and diagnosticMessage, our name or none, no referral, no value, and
//!   nothing that is no element. A refusal has a code, and need not have the rest.
//! - messageID 0 is a notification: the Notice of Disconnection ends the session, as one without a name does unless it speaks of
//!   success. Those of other names are passed over.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.ask(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037")?;
    loop {
        let message = hear(talk)?;
        let response = parse(&message).ok_or(End::Unexpected)?;
        let Response { id, code, name, succeeds } = response;
        let status =
            format!("{code} {}", NAMES.iter().find(|(number, _)| *number == code).map_or("unknown", |(_, name)| name));
        let temporary = matches!(code, 51 | 52);
        match (id, code, name) {
            (1, 0, _) if succeeds => return Ok(()),
            (1, 1.., _) => return Err(End::Refused { code: status, temporary }),
            (0, 1.., None) | (0, _, Some(b"1.3.6.1.4.1.1466.20036")) => {
                return Err(End::Closing { code: status, temporary });
            }
            (0, _, Some([_, ..])) => talk.pass(),
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
        count @ 0x81..=0xfe => number(&talk.bytes(usize::from(count - 0x80))?),
        _ => return Err(End::Unexpected),
    };
    talk.bytes(length)
}

struct Response<'a> {
    id: u8,
    code: u32,
    name: Option<&'a [u8]>,
    succeeds: bool,
}

fn parse(mut message: &[u8]) -> Option<Response<'_>> {
    let [id @ (0 | 1)] = *take(&mut message, 0x02)? else { return None };
    let mut response = take(&mut message, 0x78)?;
    let result = take(&mut response, 0x0a)?;
    if !(1..=4).contains(&result.len()) {
        return None;
    }
    let texts = [take(&mut response, 0x04), take(&mut response, 0x04)];
    let referral = take(&mut response, 0xa3);
    let name = take(&mut response, 0x8a);
    let ours = name.is_none_or(|name| name == b"1.3.6.1.4.1.1466.20037");
    let mut well = result == [0] && !texts.contains(&None) && referral.is_none() && ours;
    well &= others(response, b"\x0a\x04\xa3\x8a\x8b");
    let mut controls = take(&mut message, 0xa0).unwrap_or_default();
    while well && !controls.is_empty() {
        let control = take(&mut controls, 0x30);
        well = control.is_some_and(|mut control| take(&mut control, 0x04).is_some() && others(control, b""));
    }
    well &= others(message, b"\x02\x78\xa0");
    Some(Response { id, code: number(result) as u32, name, succeeds: well })
}

/// Whether all that is left are elements, and none that is known.
fn others(mut elements: &[u8], known: &[u8]) -> bool {
    while let Some(tag) = elements.first().copied() {
        if tag & 0x1f == 0x1f || known.contains(&tag) || take(&mut elements, tag).is_none() {
            return false;
        }
    }
    true
}

/// A number, the highest byte first. One that is too great for anything is the greatest.
fn number(digits: &[u8]) -> usize {
    let digit = |number: usize, digit: &u8| number.saturating_mul(256).saturating_add(usize::from(*digit));
    digits.iter().fold(0, digit)
}

/// Takes the contents of an element with this tag off the front, if there is one.
fn take<'a>(elements: &mut &'a [u8], expected: u8) -> Option<&'a [u8]> {
    let (&[tag, first], mut rest) = elements.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first - 0x80);
        if !(1..=126).contains(&count) || rest.len() < count {
            return None;
        }
        length = number(&rest[..count]);
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
    if !name.is_empty() {
        fields.extend(element(0x8a, name, choice)?);
    }
    if choice.arbitrary()? {
        let inner = element(0x30, b"what nobody knows", choice)?;
        fields.extend(element(*choice.choose(&[0x8c, 0xad, 0x01])?, &inner, choice)?);
    }
    let mut message = [element(0x02, &[id], choice)?, element(0x78, &fields, choice)?].concat();
    if choice.arbitrary()? {
        let control = [element(0x04, b"1.2.3", choice)?, element(0x01, &[0xff], choice)?].concat();
        let control = element(0x30, &control, choice)?;
        message.extend(element(0xa0, &control, choice)?);
    }
    if choice.arbitrary()? {
        message.extend(element(0xa9, b"nor this", choice)?);
    }
    element(0x30, &message, choice)
}

/// An element, with any form of its length that there is.
fn element(tag: u8, contents: &[u8], choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let length = contents.len() as u32;
    let least = if length < 0x80 { 0 } else { 4 - length.leading_zeros() as usize / 8 };
    let count = choice.int_in_range(least..=6)?;
    let mut element = vec![tag, if count == 0 { length as u8 } else { 0x80 + count as u8 }];
    element.extend(&u64::from(length).to_be_bytes()[8 - count..]);
    element.extend(contents);
    Ok(element)
}
