//! The proxy of a host, as one of its dimensions.

use super::feed::Feed;

fn line(number: usize, component: &str, message: &str) -> String {
    format!("2026/03/02 08:{:02}:{:02}.0000000 1840  4068  {component:<15} {message}", number / 60, number % 60)
}

fn proxy_of(lines: &[(&str, &str)]) -> Option<String> {
    let mut feed = Feed::live();
    for (number, (component, message)) in lines.iter().enumerate() {
        feed.lines(&line(number, component, message));
    }
    feed.tick(10 * 60_000);
    feed.host_facts().last().expect("the heartbeat brings facts").dimensions.get("proxy").cloned()
}

#[track_caller]
fn check(message: &str, expect: Option<&str>) {
    assert_eq!(proxy_of(&[("WebServices", message)]).as_deref(), expect, "{message}");
}

#[test]
fn one_proxy_has_one_spelling() {
    for message in [
        "Proxy List used: <proxy-ber.corp.example:8080 >",
        "Proxy List used: <Proxy-BER.corp.example:8080> Bypass List used : <(null)>",
        "Proxy List used: <http://proxy-ber.corp.example:8080/> Bypass List used : <>",
        "Proxy List used: <proxy-ber.corp.example:8080;>",
        "Proxy List used: <http=proxy-ber.corp.example:8080;https=proxy-ber.corp.example:8080>",
        "Proxy List: 'proxy-ber.corp.example:8080', Bypass List: '(null)'.",
        "Default proxy: proxy-ber.corp.example:8080",
        "Default proxy: http://user:secret@proxy-ber.corp.example:8080",
    ] {
        check(message, Some("proxy-ber.corp.example:8080"));
    }
}

#[test]
fn several_proxies_are_one_value_in_one_order() {
    for list in ["b:80;a:80", "a:80;b:80", "a:80; b:80;", "http=b:80;https=a:80", "b:80 a:80", "A:80;B:80;a:80"] {
        check(&format!("Proxy List used: <{list}>"), Some("a:80;b:80"));
    }
}

#[test]
fn a_log_that_says_that_there_is_no_proxy_is_believed() {
    for message in [
        "Proxy List used: <(null)>",
        "Proxy List used: <> Bypass List used : <>",
        "Proxy List: '(null)', Bypass List: '(null)'.",
        "Default proxy: <NULL>",
        "* Access type: No proxy",
    ] {
        check(message, Some("none"));
    }
    check("* Access type: Named proxy", None);
    check("Auto proxy settings for this web service call.", None);
    check("the proxy: it said hr=0x80072ee7", None);
}

/// In old logs only failing requests have these lines, so a proxy from them would look like the cause.
#[test]
fn a_line_that_failed_tells_no_proxy() {
    check("WARNING: SendRequest failed with hr = 80072efd. Proxy List used: <a:80 > Bypass List used : <(null)>", None);
}

/// A host that cannot scan downloads nothing: if the newest line decided, healthy and failing hosts would differ by
/// this alone.
#[test]
fn the_proxy_of_scans_goes_before_that_of_downloads() {
    let scan = ("WebServices", "Proxy List used: <(null)>");
    let download =
        ("DownloadManager", "BITS job {7E91AEE5-014B-4ED3-AD49-FE8DF5F63F55} using proxy = a:80, bypass = <NULL>");
    assert_eq!(proxy_of(&[scan, download]).as_deref(), Some("none"));
    assert_eq!(proxy_of(&[download, scan, download]).as_deref(), Some("none"));
    assert_eq!(proxy_of(&[download]).as_deref(), Some("a:80"));
    assert_eq!(proxy_of(&[scan, ("WebServices", "Proxy List used: <b:80>")]).as_deref(), Some("b:80"), "the newest");
}
