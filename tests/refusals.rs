//! The names that specifications give to refusals.

use starttls::protocol::{Ldap, Mysql, MysqlX, Nbd};
use starttls::{Code, Dialogue, Error, Negotiation, Reason, Reply};

/// What comes of these answers, each to a request.
fn refusal(dialogue: impl Dialogue, answers: &[&[u8]]) -> Reply {
    let mut negotiation = Negotiation::required(dialogue);
    for answer in answers {
        let _ = negotiation.poll_transmit();
        match negotiation.handle_input(answer) {
            Err(Error::Declined(Reason::Refused(reply)) | Error::Closing(reply)) => return reply,
            end => end.expect("another answer"),
        }
    }
    panic!("it was not refused")
}

#[test]
fn mysql_names_what_keeps_a_client_out() {
    let rows = [
        (1040, "ER_CON_COUNT_ERROR", true),
        (1042, "ER_BAD_HOST_ERROR", false),
        (1043, "ER_HANDSHAKE_ERROR", false),
        (1053, "ER_SERVER_SHUTDOWN", true),
        (1129, "ER_HOST_IS_BLOCKED", false),
        (1130, "ER_HOST_NOT_PRIVILEGED", false),
        (1135, "ER_CANT_CREATE_THREAD", true),
        (1203, "ER_TOO_MANY_USER_CONNECTIONS", true),
    ];
    for number in 1000_u16..1300 {
        let [low, high] = number.to_le_bytes();
        let reply = refusal(Mysql::new(), &[&[4, 0, 0, 0, 0xff, low, high, b'x']]);
        let (code, temporary) = match rows.iter().find(|(known, ..)| *known == number) {
            Some((_, name, temporary)) => (Code::Named(number.into(), name), *temporary),
            None => (Code::Number(number), false),
        };
        assert_eq!((reply.code, reply.temporary), (code, temporary));
    }
}

#[test]
fn mysqlx_names_what_it_did_not_like() {
    for number in (1000_u16..1100).chain(4990..5010) {
        let [low, high] = [number as u8 & 0x7f | 0x80, (number >> 7) as u8];
        let message = [8, 0, 0, 0, 1, 8, 0, 16, low, high, 26, 0];
        let reply = refusal(MysqlX::new(), &[&message]);
        let name = match number {
            1040 => "ER_CON_COUNT_ERROR",
            1053 => "ER_SERVER_SHUTDOWN",
            5000 => "ER_X_BAD_MESSAGE",
            5001 => "ER_X_CAPABILITIES_PREPARE_FAILED",
            5002 => "ER_X_CAPABILITY_NOT_FOUND",
            _ => "error",
        };
        let temporary = matches!(number, 1040 | 1053);
        assert_eq!((reply.code, reply.temporary), (Code::Named(number.into(), name), temporary));
    }
}

#[test]
fn nbd_names_its_errors() {
    let names =
        ["UNSUP", "POLICY", "INVALID", "PLATFORM", "TLS_REQD", "UNKNOWN", "SHUTDOWN", "BLOCK_SIZE_REQD", "TOO_BIG"];
    for (number, name) in (1..).zip(names) {
        let answer = [b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x05\x80\0\0".as_slice(), &[number, 0, 0, 0, 0]].concat();
        let reply = refusal(Nbd::new(), &[b"NBDMAGICIHAVEOPT\0\x03", &answer]);
        let Code::Named(code, told) = reply.code else { panic!("{:?}", reply.code) };
        assert_eq!((code, told), (0x8000_0000 + u32::from(number), format!("NBD_REP_ERR_{name}").as_str()));
    }
}

#[test]
fn ldap_results_have_the_names_of_their_specification() {
    // RFC 4511 §4.1.9.
    let names = "0 success, 1 operationsError, 2 protocolError, 3 timeLimitExceeded, 4 sizeLimitExceeded, 5 compareFalse, \
                 6 compareTrue, 7 authMethodNotSupported, 8 strongerAuthRequired, 10 referral, 11 adminLimitExceeded, \
                 12 unavailableCriticalExtension, 13 confidentialityRequired, 14 saslBindInProgress, 16 noSuchAttribute, \
                 17 undefinedAttributeType, 18 inappropriateMatching, 19 constraintViolation, 20 attributeOrValueExists, \
                 21 invalidAttributeSyntax, 32 noSuchObject, 33 aliasProblem, 34 invalidDNSyntax, \
                 36 aliasDereferencingProblem, 48 inappropriateAuthentication, 49 invalidCredentials, \
                 50 insufficientAccessRights, 51 busy, 52 unavailable, 53 unwillingToPerform, 54 loopDetect, \
                 64 namingViolation, 65 objectClassViolation, 66 notAllowedOnNonLeaf, 67 notAllowedOnRDN, \
                 68 entryAlreadyExists, 69 objectClassModsProhibited, 71 affectsMultipleDSAs, 80 other";
    let known: Vec<(u8, &'static str)> = names
        .split(", ")
        .map(|pair| pair.split_once(' ').expect("a pair"))
        .map(|(code, name)| (code.parse().expect("a number"), name))
        .collect();
    for code in 1..128 {
        let name = known.iter().find(|(known, _)| *known == code).map_or("unknown", |(_, name)| *name);
        let mut negotiation = Negotiation::required(Ldap::new());
        negotiation.poll_transmit();
        let reply = [b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01".as_slice(), &[code], b"\x04\0\x04\0"].concat();
        let Err(Error::Declined(Reason::Refused(refusal))) = negotiation.handle_input(&reply) else { panic!("{code}") };
        assert_eq!((refusal.code, refusal.temporary), (Code::Named(code.into(), name), matches!(code, 51 | 52)));
    }
    // X.690 §8.3.2: a byte of zeros is needed ahead of one whose first bit is set, and of no other. A refusal may have it all the same.
    for (content, code) in [([0, 0x80], Some(128)), ([0, 0xff], Some(255)), ([0, 0x7f], Some(127)), ([0, 0], None)] {
        let mut negotiation = Negotiation::required(Ldap::new());
        negotiation.poll_transmit();
        let reply = [b"\x30\x0d\x02\x01\x01\x78\x08\x0a\x02".as_slice(), &content, b"\x04\0\x04\0"].concat();
        let told = match negotiation.handle_input(&reply) {
            Err(Error::Declined(Reason::Refused(Reply { code: Code::Named(code, "unknown"), .. }))) => Some(code),
            _ => None,
        };
        assert_eq!(told, code, "{content:?}");
    }
}
