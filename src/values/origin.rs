//! Web origins: scheme, host and port of a page, as browsers write them in `Origin` (RFC 6454).

use std::str::FromStr;

use hyper::Uri;

/// The origins that a setting lists, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<Origin>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `*`
    Any,
    /// Such as `https://app.example.org`, as browsers write it: in lower case, without the usual port.
    One(String),
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        list.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Origin {
    type Err = String;

    /// Takes the address of a page too, of which its path does not count.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let wrong = || format!("{text} is no origin such as https://app.example.org");
        let address: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (address.scheme_str(), address.authority()) else { return Err(wrong()) };
        let usual_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(wrong()),
        };
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() || host.contains('*') || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let port = authority.port_u16().filter(|port| *port != usual_port).map(|port| format!(":{port}"));
        Ok(Self::One(format!("{scheme}://{host}{}", port.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, origin) in [
            ("https://app.example.org", "https://app.example.org"),
            ("HTTPS://App.Example.org/", "https://app.example.org"),
            ("https://app.example.org:443/debtors?open", "https://app.example.org"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(text.parse(), Ok(Origin::One(origin.to_owned())), "{text}");
        }
        for wrong in
            ["null", "localhost", "localhost:8080", "/", "ftp://a", "https://", "https://a@b", "https://*.a", "file:///a"]
        {
            wrong.parse::<Origin>().unwrap_err();
        }
    }

    #[test]
    fn a_list_may_have_gaps() {
        let one = |text: &str| Origin::One(text.to_owned());
        assert_eq!(" http://a ,, https://b,".parse(), Ok(Origins(vec![one("http://a"), one("https://b")])));
        assert_eq!("".parse(), Ok(Origins::default()));
        assert_eq!("*".parse(), Ok(Origins(vec![Origin::Any])));
        "http://a,b".parse::<Origins>().unwrap_err();
    }
}
