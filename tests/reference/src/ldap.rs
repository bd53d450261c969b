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
    talk.say(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037")?;
    loop {
        let (id, code, name) = Ber { talk, at: 0, ends: vec![u32::MAX as usize] }.message()?;
        let status =
            format!("{code} {}", NAMES.iter().find(|(number, _)| *number == code).map_or("unknown", |(_, name)| name));
        let temporary = matches!(code, 51 | 52);
        match (id, &name[..]) {
            (1, b"" | b"1.3.6.1.4.1.1466.20037") if code == 0 => return Ok(()),
            (1, b"" | b"1.3.6.1.4.1.1466.20037") => return Err(End::Refused { code: status, temporary }),
            (0, b"1.3.6.1.4.1.1466.20036") => return Err(End::Closing { code: status, temporary }),
            (0, [_, ..]) => {}
            _ => return Err(End::Unexpected),
        }
    }
}

struct Ber<'a, 'b> {
    talk: &'a mut Talk<'b>,
    at: usize,
    /// Of the elements that are open.
    ends: Vec<usize>,
}

impl Ber<'_, '_> {
    fn message(mut self) -> Result<(u8, u32, Vec<u8>), End> {
        self.open(0x30)?;
        self.primitive(0x02, 1..=1)?;
        let id = self.byte()?;
        if id > 1 {
            return Err(End::Unexpected);
        }
        self.open(0x78)?;
        let length = self.primitive(0x0a, 1..=4)?;
        let mut code = 0;
        for place in 0..length {
            let byte = self.byte()?;
            if place > 0 && code == 0 && byte < 0x80 {
                return Err(End::Unexpected);
            }
            code = code << 8 | u32::from(byte);
        }
        self.skip(0x04)?;
        self.skip(0x04)?;
        let mut name = Vec::new();
        let mut last = 0;
        while !self.is_at_end() {
            let (tag, length) = self.header()?;
            match tag {
                0xa3 if last == 0 => {
                    self.ends.push(self.at + length);
                    while !self.is_at_end() {
                        self.skip(0x04)?;
                    }
                    self.ends.pop();
                }
                0x8a if last < 0x8a => name = self.contents(length)?,
                0x8b if last < 0x8b => drop(self.contents(length)?),
                _ => return Err(End::Unexpected),
            }
            // The referral comes first of the three.
            last = if tag == 0xa3 { 1 } else { tag };
        }
        self.ends.pop();
        if !self.is_at_end() {
            self.open(0xa0)?;
            while !self.is_at_end() {
                self.open(0x30)?;
                while !self.is_at_end() {
                    let (tag, length) = self.header()?;
                    match (tag & 0x20, length) {
                        (0, _) => drop(self.contents(length)?),
                        (_, 0) => {}
                        _ => {
                            // Nothing is nested as deep as this.
                            self.ends.push(self.at + length);
                            self.header()?;
                            return Err(End::Unexpected);
                        }
                    }
                }
                self.ends.pop();
            }
            self.ends.pop();
        }
        if !self.is_at_end() {
            self.header()?;
            return Err(End::Unexpected);
        }
        Ok((id, code, name))
    }

    fn is_at_end(&self) -> bool {
        self.ends.last() == Some(&self.at)
    }

    fn byte(&mut self) -> Result<u8, End> {
        if self.is_at_end() {
            return Err(End::Unexpected);
        }
        self.at += 1;
        self.talk.byte()
    }

    fn contents(&mut self, length: usize) -> Result<Vec<u8>, End> {
        self.at += length;
        self.talk.bytes(length)
    }

    fn header(&mut self) -> Result<(u8, usize), End> {
        let tag = self.byte()?;
        if tag & 0x1f == 0x1f {
            return Err(End::Unexpected);
        }
        let mut length = usize::from(self.byte()?);
        if length > 0x7f {
            let count = length - 0x80;
            if !(1..=4).contains(&count) {
                return Err(End::Unexpected);
            }
            length = 0;
            for _ in 0..count {
                length = length << 8 | usize::from(self.byte()?);
            }
        }
        if self.at + length > self.ends[self.ends.len() - 1] {
            return Err(End::Unexpected);
        }
        Ok((tag, length))
    }

    /// An element that is lacking shows by the one that stands behind it, or by the end of the message.
    fn lacking(&mut self) -> Outcome {
        if !self.is_at_end() {
            return Ok(());
        }
        let at = self.at;
        self.ends.retain(|end| *end != at);
        if self.ends.len() > 1 {
            self.header()?;
        }
        Err(End::Unexpected)
    }

    fn open(&mut self, expected: u8) -> Outcome {
        self.lacking()?;
        let (tag, length) = self.header()?;
        if tag != expected {
            return Err(End::Unexpected);
        }
        self.ends.push(self.at + length);
        Ok(())
    }

    fn primitive(&mut self, expected: u8, lengths: std::ops::RangeInclusive<usize>) -> Result<usize, End> {
        self.lacking()?;
        let (tag, length) = self.header()?;
        if tag != expected || !lengths.contains(&length) {
            return Err(End::Unexpected);
        }
        Ok(length)
    }

    fn skip(&mut self, expected: u8) -> Outcome {
        let length = self.primitive(expected, 0..=usize::MAX)?;
        self.contents(length).map(drop)
    }
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
