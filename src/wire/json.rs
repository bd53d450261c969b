//! Members of JSON objects.

use core::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Which of these members of a JSON object (RFC 8259) are `true`; `None` if the text is no object. A name that is given
/// twice has its last value.
pub fn truths<const N: usize>(text: &[u8], names: [&str; N]) -> Option<[bool; N]> {
    let mut json = serde_json::Deserializer::from_str(str::from_utf8(text).ok()?);
    let truths = json.deserialize_map(Members(names)).ok()?;
    json.end().ok()?;
    Some(truths)
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [bool; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<[bool; N], A::Error> {
        let mut truths = [false; N];
        while let Some(place) = members.next_key_seed(Place(&self.0))? {
            let value: &RawValue = members.next_value()?;
            if let Some(place) = place {
                truths[place] = value.get() == "true";
            }
        }
        Ok(truths)
    }
}

/// Where in a list a name stands.
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}
