//! The score of each way to match strictly, for both engines: whole numbers and addresses, then parts of them, then names, then the rest.

/// The phrase is an id, a whole number, phone or e-mail address.
pub(crate) const IDENTITY: f64 = 1000.0;
/// The phrase is the end of a number or phone, or the beginning of an e-mail address.
pub(crate) const PART: f64 = 500.0;
/// The phrase is the beginning of a number.
pub(crate) const BEGINNING: f64 = 400.0;
/// The phrase is the full name, in any order.
pub(crate) const FULL: f64 = 50.0;
/// A word is a word of a name.
pub(crate) const WORD: f64 = 10.0;
/// A word is another spelling of a word of a name: `mueller` for `müller`.
pub(crate) const VARIANT: f64 = 9.0;
/// A word is two words of a name, or the other way round.
pub(crate) const JOINED: f64 = 8.0;
/// A word begins a word of a name.
pub(crate) const PREFIX: f64 = 7.0;
/// A word is a nickname of a word of a name, or the other way round.
pub(crate) const NICKNAME: f64 = 6.0;
/// A word is in an address, a text or a number.
pub(crate) const ELSEWHERE: f64 = 5.0;
