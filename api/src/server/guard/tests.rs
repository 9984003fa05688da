//! Who passes and who does not, header by header.

use super::*;

fn guard(listen: &str, hosts: &[&str]) -> Guard {
    let hosts = hosts.iter().map(ToString::to_string).collect();
    Guard::of(&Server { listen: listen.parse().unwrap(), hosts, ..Server::default() })
}

/// The code of the refusal, or nothing.
fn refusal(guard: &Guard, method: Method, headers: &[(&str, &str)]) -> Option<String> {
    let named =
        |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    let headers: HeaderMap = headers.iter().map(named).collect();
    guard.check(&method, None, &headers).err().map(|problem| problem.code.clone())
}

fn post(headers: &[(&str, &str)]) -> Option<String> {
    let here = [("host", "localhost:7480")];
    let all: Vec<_> = here.iter().chain(headers).copied().collect();
    refusal(&guard("127.0.0.1:7480", &[]), Method::POST, &all)
}

const HOST: Option<&str> = Some("FOREIGN_HOST");
const ORIGIN: Option<&str> = Some("FOREIGN_ORIGIN");

#[test]
fn a_server_on_loopback_answers_to_the_names_of_this_machine_only() {
    let guard = guard("127.0.0.1:7480", &["rekap.example.org"]);
    let get = |host: &str| refusal(&guard, Method::GET, &[("host", host)]);
    for host in [
        "localhost:7480",
        "LOCALHOST",
        "a.localhost:1",
        "127.0.0.1:7480",
        "127.8.0.1",
        "[::1]:7480",
        "Rekap.Example.org",
    ] {
        assert_eq!(get(host), None, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:7480", "10.0.0.1:7480", "[::2]", "", "127.0.0.1.evil.example"]
    {
        assert_eq!(get(host).as_deref(), HOST, "{host}");
    }
}

#[test]
fn a_server_on_a_network_is_asked_by_names_that_it_does_not_know() {
    assert_eq!(refusal(&guard("0.0.0.0:7480", &[]), Method::GET, &[("host", "rekap.corp")]), None);
}

#[test]
fn a_page_of_another_origin_may_not_change_anything() {
    for site in ["cross-site", "same-site", "something new"] {
        assert_eq!(post(&[("sec-fetch-site", site)]).as_deref(), ORIGIN, "{site}");
    }
    for origin in ["https://evil.example", "http://localhost:3000", "null", "http://localhost:7480.evil.example"] {
        assert_eq!(post(&[("origin", origin)]).as_deref(), ORIGIN, "{origin}");
    }
}

#[test]
fn the_console_and_clients_that_are_no_browsers_may() {
    assert_eq!(post(&[]), None);
    assert_eq!(post(&[("origin", "http://localhost:7480")]), None);
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:7480")]), None);
    assert_eq!(post(&[("sec-fetch-site", "none")]), None);
}

#[test]
fn reading_is_left_to_the_browsers_own_rules() {
    let guard = guard("127.0.0.1:7480", &[]);
    assert_eq!(refusal(&guard, Method::GET, &[("host", "localhost"), ("sec-fetch-site", "cross-site")]), None);
}

#[test]
fn a_host_that_the_configuration_names_may_ask_from_its_pages() {
    let guard = guard("127.0.0.1:7480", &["rekap.example.org"]);
    let ask = |origin: &str| {
        refusal(
            &guard,
            Method::POST,
            &[("host", "127.0.0.1:7480"), ("origin", origin), ("sec-fetch-site", "cross-site")],
        )
    };
    assert_eq!(ask("https://rekap.example.org"), None);
    assert_eq!(ask("https://other.example.org").as_deref(), ORIGIN);
}
