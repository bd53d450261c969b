//! Which targets are to be checked here.

use std::str::FromStr;

use aws_lc_rs::digest;

/// A part of all targets, that every machine tells alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shard {
    /// From 0.
    number: u64,
    of: u64,
}

/// Stands for a target's text: the first half of its SHA-256. A list of a billion has two alike once in 10^20 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// `text` is escaped, as the results have it.
    pub fn new(text: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        Self(hash.as_ref().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

impl Shard {
    pub fn has(self, key: Key) -> bool {
        (key.0 >> 64) as u64 % self.of == self.number
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
        match numbers {
            Some((k, of)) if 1 <= k && k <= of => Ok(Self { number: k - 1, of }),
            _ => Err("not K/N with K from 1 to N".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_in_one_part_and_in_the_same_for_ever() {
        // printf smtp://mail.example | sha256sum
        let key = Key::new("smtp://mail.example");
        assert_eq!(key, Key(0x4365d08ce87340adc66c0c4ba7989ff6));
        for n in 1..100_u64 {
            let parts = (1..=n).filter(|k| format!("{k}/{n}").parse::<Shard>().unwrap().has(key));
            assert!(parts.eq([0x4365d08ce87340ad % n + 1]));
        }
        for no in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b"] {
            assert!(no.parse::<Shard>().is_err(), "{no}");
        }
    }
}
