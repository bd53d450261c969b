//! JSON: RFC 8259.

/// Whether this is an object, and nothing behind it, whose own member of this name is `true`; the last one counts.
pub(crate) fn member(json: &[u8], name: &str) -> Option<bool> {
    str::from_utf8(json).ok()?;
    let mut reader = Reader { rest: json };
    reader.space();
    if reader.rest.first() != Some(&b'{') {
        return None;
    }
    let Value::Object(members) = reader.value()? else { return None };
    reader.space();
    let last = members.iter().rev().find(|(known, _)| known == name.as_bytes());
    reader.rest.is_empty().then(|| last.is_some_and(|(_, truth)| *truth))
}

enum Value {
    /// The names of the members, and whether each is `true`.
    Object(Vec<(Vec<u8>, bool)>),
    True,
    Other,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, is: impl Fn(&u8) -> bool) -> Option<u8> {
        let (first, rest) = self.rest.split_first().filter(|(first, _)| is(first))?;
        self.rest = rest;
        Some(*first)
    }

    fn run(&mut self, is: impl Fn(&u8) -> bool) -> Vec<u8> {
        std::iter::from_fn(|| self.take(&is)).collect()
    }

    fn space(&mut self) {
        self.run(|byte| b" \t\r\n".contains(byte));
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.rest.first()? {
            b'{' => self
                .items(b'{', b'}', |reader| {
                    reader.space();
                    let name = reader.string()?;
                    reader.space();
                    reader.take(|byte| *byte == b':')?;
                    Some((name, matches!(reader.value()?, Value::True)))
                })
                .map(Value::Object),
            b'[' => self.items(b'[', b']', |reader| reader.value().map(drop)).map(|_| Value::Other),
            b'"' => self.string().map(|_| Value::Other),
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Some(Value::Other)
            }
            _ => match &self.run(u8::is_ascii_lowercase)[..] {
                b"true" => Some(Value::True),
                b"false" | b"null" => Some(Value::Other),
                _ => None,
            },
        }
    }

    fn items<T>(&mut self, open: u8, close: u8, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.take(|byte| *byte == open)?;
        let mut items = Vec::new();
        self.space();
        while self.take(|byte| *byte == close).is_none() {
            if !items.is_empty() {
                self.take(|byte| *byte == b',')?;
            }
            items.push(item(self)?);
            self.space();
        }
        Some(items)
    }

    /// `-`, maybe; `0`, or digits that do not begin with one; then maybe a fraction, and an exponent.
    fn number(&mut self) -> Option<()> {
        self.take(|byte| *byte == b'-');
        if self.take(|byte| *byte == b'0').is_none() {
            self.digits()?;
        }
        if self.take(|byte| *byte == b'.').is_some() {
            self.digits()?;
        }
        if self.take(|byte| b"eE".contains(byte)).is_some() {
            self.take(|byte| b"+-".contains(byte));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        if self.run(u8::is_ascii_digit).is_empty() { None } else { Some(()) }
    }

    /// A string; of a character that is given by its number, only ASCII is kept apart.
    fn string(&mut self) -> Option<Vec<u8>> {
        self.take(|byte| *byte == b'"')?;
        let mut string = Vec::new();
        loop {
            match self.take(|byte| *byte > 0x1f)? {
                b'"' => return Some(string),
                b'\\' => match self.take(|_| true)? {
                    b'u' => {
                        let digits = self.rest.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                        let unit = u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
                        string.push(u8::try_from(unit).unwrap_or(0xff));
                        self.rest = &self.rest[4..];
                    }
                    byte @ (b'"' | b'\\' | b'/') => string.push(byte),
                    b'b' | b'f' | b'n' | b'r' | b't' => string.push(b'\n'),
                    _ => return None,
                },
                byte => string.push(byte),
            }
        }
    }
}
