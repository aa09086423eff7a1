//! Mutations of requests: each is drawn from the dice, so a seed repeats it.

use serde_json::Value;

use super::message::Message;
use crate::harness::dice::Dice;

/// Values at the limits of parsers, types and encodings, between blanks.
const VALUES: &str = " \0 a\0b \u{1} \u{7f} ' \" \\ % %zz %00 %ff%fe %c0%80 .. ../../etc {} [] null true -1 0 -0 1.5 0.001 1e3 1.79e308 \
    -1.79e308 1e400 2147483648 9223372036854775807 9223372036854775808 -9223372036854775809 \
    340282366920938463463374607431768211456 NaN Infinity 0x10 + , ,,, a,b * ? [ _ 0000-00-00 -0001-12-31 -262143-01-01 \
    +262142-12-31 -4713-11-24 9999-12-31 10000-01-01 2026-02-30 0001-01-01T00:00:00-23:59 9999-12-31T23:59:60.999999999Z \
    +262142-12-31T23:59:59Z now-999999y today+9223372036854775807d now-262000y now+2147483647M +23:59 \u{202e}\u{feff} 😀 ﷺ";

/// JSON that is valid, too large or broken, between blanks.
const JSON: &str = r#"null true 0 -1 -0 1.5 1e400 1.79e308 -1.79e308 5e-324 1e-400 1e1000000 9007199254740993 9223372036854775807
    9223372036854775808 -9223372036854775809 340282366920938463463374607431768211456 01 1. NaN "\ud800" "\udc00\ud800" "\u0000" "\x"
    [] {} {"":{"":[""]}}"#;

const METHODS: &str = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT get PROPFIND M-SEARCH";

const HEADERS: &str = "if-match if-none-match idempotency-key x-sync-token x-request-id authorization content-type accept \
    accept-encoding host user-agent cookie range origin x-forwarded-for x-http-method-override prefer if-modified-since";

/// These change where a request ends, or what follows it.
const FRAMING: &str = "content-length transfer-encoding connection expect upgrade trailer";

const HEADER_VALUES: &str = "\"v1\" W/\"v1\" * Bearer Basic 0/8 FFFFFFFF/FFFFFFFF text/plain chunked 5";

/// Bytes of a request's head that the server reads.
const HEAD: usize = 16 << 10;

/// A request as bytes.
pub(super) struct Mutated {
    pub(super) bytes: Vec<u8>,
    pub(super) is_head: bool,
    /// Whether its length is what it says, so that an answer has to come.
    pub(super) is_framed: bool,
}

/// Mutates a request in one to three places.
pub(super) fn mutate(mut message: Message, dice: &mut Dice) -> Mutated {
    let mut is_framed = true;
    for _ in 0..=dice.roll(3) {
        match dice.roll(16) {
            0 => message.method = one_of(METHODS, dice).to_owned(),
            1..=2 => path(&mut message.path, dice),
            3..=6 => query(&mut message, dice),
            7..=9 => header(&mut message, one_of(HEADERS, dice), dice),
            10 => {
                header(&mut message, one_of(FRAMING, dice), dice);
                is_framed = false;
            }
            _ => match &mut message.body {
                Some(body) => json(body, dice),
                None => query(&mut message, dice),
            },
        }
    }
    let mut bytes = message.bytes();
    if dice.roll(8) == 0 {
        damage(&mut bytes, dice);
        is_framed = false;
    }
    Mutated { bytes, is_head: message.method == "HEAD", is_framed }
}

/// A hostile text: a value at a limit, now and then a long or a random one.
fn text(dice: &mut Dice) -> String {
    match dice.roll(8) {
        0 => dice.pick(&["a", "é", "1", "a ", "%41", "[", "😀", "a,", "\u{301}", "-"]).repeat(size(dice)),
        1 => (0..dice.roll(20)).filter_map(|_| char::from_u32(dice.roll(0x11_0000) as u32)).collect(),
        _ => one_of(VALUES, dice).to_owned(),
    }
}

/// Mostly small.
fn size(dice: &mut Dice) -> usize {
    let limit = dice.pick(&[10, 70, 300, 1_000, 12_000]);
    usize::try_from(dice.roll(limit)).unwrap()
}

/// One of some words between blanks; also the empty word before a leading one.
fn one_of(words: &'static str, dice: &mut Dice) -> &'static str {
    dice.pick(&words.split([' ', '\n']).collect::<Vec<_>>())
}

/// Encoded for an address, or for one time in eight as it is.
fn encoded(text: &str, dice: &mut Dice) -> String {
    if dice.roll(8) == 0 { text.to_owned() } else { form_urlencoded::byte_serialize(text.as_bytes()).collect() }
}

fn path(path: &mut String, dice: &mut Dice) {
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    let at = usize::try_from(dice.roll(segments.len() as u64)).unwrap();
    match dice.roll(7) {
        0 => drop(segments.remove(at)),
        1 => segments.insert(at, segments[at].clone()),
        2 => segments.push(String::new()),
        3 => segments[at] = segments[at].bytes().map(|byte| format!("%{byte:02x}")).collect(),
        4 => segments[at] = segments[at].to_uppercase(),
        5 => segments[at] = "00000000-0000-0000-0000-000000000000".into(),
        _ => segments[at] = encoded(&text(dice), dice),
    }
    *path = segments.join("/");
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
}

pub(crate) fn query(message: &mut Message, dice: &mut Dice) {
    let known = usize::try_from(dice.roll(message.parameters.len() as u64 + 1)).unwrap();
    let name = message.parameters.get(known).cloned().unwrap_or_else(|| text(dice));
    let value = match dice.roll(8) {
        0 => format!("{},{}", text(dice), text(dice)),
        1..=3 if name == "sort" => dice.pick(&["-createdAt,", "name,", "balance,"]).repeat(dice.pick(&[3, 70, 1_700, 2_400])),
        4 => "a".repeat(dice.pick(&[70, 1_000, 12_000])),
        _ => text(dice),
    };
    let value = if name == "sort" { value } else { encoded(&value, dice) };
    let pair = format!("{}={value}", encoded(&name, dice));
    let times = if dice.roll(10) == 0 { 1 + size(dice) % 100 } else { 1 };
    // Beyond the limit of a head more of the same finds nothing.
    let times = times.min(1 + HEAD / pair.len());
    message.query += &format!("&{pair}").repeat(times);
    if dice.roll(6) == 0 {
        let mut bytes = std::mem::take(&mut message.query).into_bytes();
        flip(&mut bytes, dice);
        message.query = String::from_utf8_lossy(&bytes).into_owned();
    }
}

fn header(message: &mut Message, name: &str, dice: &mut Dice) {
    let value = match dice.roll(4) {
        0 => one_of(HEADER_VALUES, dice).to_owned(),
        1 => {
            let before = message.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            before.unwrap_or_default().to_owned() + &text(dice)
        }
        _ => text(dice),
    };
    if dice.roll(2) == 0 {
        message.headers.retain(|(known, _)| known != name);
    }
    let times = if dice.roll(20) == 0 { size(dice) % 80 } else { 1 }.min(1 + HEAD / (value.len() + 1));
    message.headers.extend((0..times).map(|_| (name.to_owned(), value.clone())));
}

/// Mutates a JSON text.
fn json(body: &mut String, dice: &mut Dice) {
    const MARK: &str = "<here>";
    match dice.roll(10) {
        0 => body.truncate(floor(body, dice)),
        1 => *body = body.repeat(2),
        2 => *body = raw_json(dice),
        3 => *body = body.replacen('{', r#"{"name":"a","name":"b","#, 1),
        4 => *body = body.replacen('{', &format!("{{{}:1,", Value::from(text(dice))), 1),
        5 => body.insert_str(0, dice.pick(&["\u{feff}", " ", "\n\n", ",", "/**/"])),
        _ => {
            let Ok(mut value) = serde_json::from_str::<Value>(body) else { return };
            let (mut places, mut pointers) = (vec![(String::new(), &value)], Vec::new());
            while let Some((pointer, value)) = places.pop() {
                match value {
                    Value::Object(members) => {
                        places.extend(members.iter().map(|(name, value)| (format!("{pointer}/{name}"), value)));
                    }
                    Value::Array(items) => {
                        places.extend(items.iter().enumerate().map(|(at, value)| (format!("{pointer}/{at}"), value)));
                    }
                    _ => {}
                }
                pointers.push(pointer);
            }
            let pointer = &pointers[usize::try_from(dice.roll(pointers.len() as u64)).unwrap()];
            if let Some(place) = value.pointer_mut(pointer) {
                *place = MARK.into();
            }
            *body = value.to_string().replace(&format!("\"{MARK}\""), &raw_json(dice));
        }
    }
}

fn raw_json(dice: &mut Dice) -> String {
    match dice.roll(8) {
        0 => Value::from(text(dice)).to_string(),
        1 => {
            let depth = size(dice);
            format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
        }
        2 => {
            let depth = size(dice) % 200;
            format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
        }
        3 => format!("[{}0]", "{},".repeat(size(dice))),
        4 => format!("{{{}}}", (0..size(dice) % 3_000).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(",")),
        5 if dice.roll(20) == 0 => format!("\"{}\"", "a".repeat(1_100_000)),
        _ => one_of(JSON, dice).to_owned(),
    }
}

/// Damages the bytes of a request.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        match dice.roll(5) {
            0 => bytes.truncate(usize::try_from(dice.roll(bytes.len() as u64 + 1)).unwrap()),
            1 => {
                let at = usize::try_from(dice.roll(bytes.len() as u64 + 1)).unwrap();
                let more = dice.pick(&[&b"\r\n"[..], b"\n", b"\0", b" ", b"\xff", b":", b"\r\n\r\n", b"\t"]);
                bytes.splice(at..at, more.iter().copied());
            }
            2 if !bytes.is_empty() => drop(bytes.remove(usize::try_from(dice.roll(bytes.len() as u64)).unwrap())),
            _ => flip(bytes, dice),
        }
    }
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    if !bytes.is_empty() {
        let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        bytes[at] = dice.roll(256) as u8;
    }
}

/// A random boundary between characters.
fn floor(text: &str, dice: &mut Dice) -> usize {
    let at = usize::try_from(dice.roll(text.len() as u64 + 1)).unwrap();
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
