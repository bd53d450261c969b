//! Whatever a caller passes as a name, it stays in its place on the wire: every character, look-alikes of CR and LF included.

use proptest::prelude::*;
use starttls::preface::{Connect, Preface, Socks5, Via};
use starttls::protocol::{Acap, Http, Imap, Mupdate, Options, Pop3, Script, Smtp, Start, Xmpp};
use starttls::{Dialogue, InvalidName, Negotiation};

/// What has a name: how it begins, and what may stand in one beside letters and digits.
type Named = (&'static str, fn(&str) -> Result<Vec<u8>, InvalidName>, &'static str);

const HOST: &str = ".-_:[]";
const NAMED: [Named; 9] = [
    ("Smtp::new", |name| Ok(request(Smtp::new(name)?.options(AFTER_GREETING))), HOST),
    ("Smtp::lmtp", |name| Ok(request(Smtp::lmtp(name)?.options(AFTER_GREETING))), HOST),
    ("Xmpp::client", |name| Ok(request(Xmpp::client(name)?)), HOST),
    ("Xmpp::server", |name| Ok(request(Xmpp::server(name, name)?)), HOST),
    ("Http::new", |name| Ok(request(Http::new(name)?)), HOST),
    ("Imap::new", |tag| Ok(request(Imap::new(tag)?.options(AFTER_GREETING))), ""),
    ("Acap::new", |tag| Ok(request(Acap::new(tag)?.options(AFTER_GREETING))), ""),
    ("Mupdate::new", |tag| Ok(request(Mupdate::new(tag)?.options(AFTER_GREETING))), ""),
    ("Connect::new", |name| Ok(preface(Connect::new(name, 25)?)), ".-_"),
];
const AFTER_GREETING: Options = Options { start: Start::AfterGreeting, ask: false, insist: false };

fn request(dialogue: impl Dialogue) -> Vec<u8> {
    Negotiation::required(dialogue).poll_transmit().expect("it begins").to_vec()
}

fn preface(preface: impl Preface) -> Vec<u8> {
    request(Via::new(preface, Pop3::new()))
}

/// All of the plane that text is in, and some of each of the others.
fn characters() -> impl Iterator<Item = char> {
    ('\0'..='\u{ffff}').chain(('\u{10000}'..=char::MAX).step_by(257))
}

#[test]
fn a_name_has_no_character_but_those_that_it_may_have() {
    let mut names = 0;
    for character in characters() {
        for (constructor, begin, allowed) in NAMED {
            for name in [format!("{character}"), format!("a{character}b"), format!("ab{character}")] {
                let may = character.is_ascii_alphanumeric() || allowed.contains(character);
                match begin(&name) {
                    // A hyphen, a dot or a bracket alone is no name to some.
                    Err(_) => assert!(!may || !character.is_ascii_alphanumeric(), "{constructor} refuses {name:?}"),
                    Ok(sent) => {
                        assert!(may, "{constructor} takes {name:?}");
                        let usual = String::from_utf8(begin("Zq9Z").expect("a name")).expect("text");
                        assert_eq!(sent, usual.replace("Zq9Z", &name).as_bytes(), "{constructor}: {name:?}");
                    }
                }
                names += 1;
            }
            assert!(
                Socks5::new(&format!("a{character}b"), 25).is_err() || character.is_ascii_graphic(),
                "{character:?}"
            );
        }
    }
    println!("{names} names");
}

#[test]
fn a_script_sends_each_character_as_it_is() {
    for character in characters().filter(|character| !"\"\\\n".contains(*character)) {
        let script: Script = format!("send \"a{character}b\"\nexpect \"x{character}y\"").parse().expect("a script");
        assert_eq!(request(script), format!("a{character}b").as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn credentials_stay_in_their_place(
        user in "[a-z:\r\n\0\u{7f}\u{85}\u{10a}\u{2028}\u{560d}ö \"]{0,6}",
        password in "[a-z:\r\n\0\u{7f}\u{85}\u{10a}\u{2028}\u{560d}ö \"]{0,6}",
    ) {
        let control = |text: &str| text.bytes().any(|byte| byte.is_ascii_control());
        if let Ok(connect) = Connect::new("mail.example", 25).expect("a name").credentials(&user, &password) {
            prop_assert!(!control(&user) && !control(&password) && !user.contains(':'));
            let request = String::from_utf8(preface(connect)).expect("text");
            let (before, behind) = request.split_once("Basic ").expect("credentials");
            let encoded = behind.strip_suffix("\r\n\r\n").expect("the end");
            prop_assert_eq!(before, "CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example:25\r\nProxy-Authorization: ");
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)));
            prop_assert_eq!(encoded.len(), (user.len() + 1 + password.len()).div_ceil(3) * 4);
        }
        if let Ok(socks5) = Socks5::new("mail.example", 25).expect("a name").credentials(&user, &password) {
            prop_assert!(!control(&user) && !control(&password));
            let mut negotiation = Negotiation::required(Via::new(socks5, Pop3::new()));
            prop_assert_eq!(negotiation.poll_transmit().expect("methods"), &[5, 2, 0, 2][..]);
            prop_assert_eq!(negotiation.handle_input(&[5, 2]), Ok(()));
            let length = |text: &str| [text.len() as u8];
            let expected = [&[1], &length(&user)[..], user.as_bytes(), &length(&password), password.as_bytes()].concat();
            prop_assert_eq!(negotiation.poll_transmit().expect("credentials"), expected);
        }
    }
}
