//! Items by the thousand. A page is a template of as many items as it has, with other numbers written into it: a copy and
//! some thousand digits, so that the provider is no part of what is measured.
//!
//! - `GET /parts` lists the parts.
//! - `GET /parts/PART/items?page=N` is a page, with a `Link` to the next one.
//! - `GET /_bench/items/N` makes it have so many from now on.
//! - `GET /_bench/change/PERCENT` makes so many of the items differ from now on; each call is another change.

use super::Provider;
use super::server::{self, Answer};
use anyhow::{Result, ensure};
use clap::Args;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The host that it stands in for, as the guest's manifest has it.
pub(crate) const HOST: &str = "items.example";
/// Ids begin here, so that all of them have ten digits.
const FIRST_ID: u64 = 1_000_000_000;
/// Revisions begin here, so that all of them have four digits.
const FIRST_REVISION: u64 = 1_000;

/// How large it is, and how slow.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Items, all parts together.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) items: u64,
    /// Parts.
    #[arg(long, default_value_t = 2)]
    pub(crate) parts: u64,
    /// Items of a page.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) page: u64,
    /// Wait so long before each answer, milliseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) delay: u64,
}

impl Options {
    /// Starts a provider of this size in a process of its own.
    ///
    /// # Errors
    /// When it doesn't start.
    pub(crate) fn start(&self) -> Result<Provider> {
        let number = |name: &str, value: u64| [format!("--{name}"), value.to_string()];
        let sizes = [("items", self.items), ("parts", self.parts), ("page", self.page), ("delay", self.delay)];
        let arguments = std::iter::once("items".to_owned()).chain(sizes.into_iter().flat_map(|(n, v)| number(n, v)));
        Provider::start(HOST, &arguments.collect::<Vec<_>>())
    }
}

/// Serves; see the module's documentation.
pub(super) fn serve(options: Options) -> Result<()> {
    ensure!(options.parts > 0 && options.page > 0, "there must be a part, and an item on a page");
    let items = Items::new(options);
    server::serve(move |target, _, answer| items.answer(target, answer))
}

/// The provider.
struct Items {
    options: Options,
    page: Page,
    items: AtomicU64,
    /// How many of a hundred items differ, and how often that was said.
    changed_percent: AtomicU64,
    revision: AtomicU64,
}

/// A page's text, and where its numbers stand.
struct Page {
    text: Vec<u8>,
    /// Of each item: where it ends, and where its id and its revision stand.
    items: Vec<(usize, Vec<usize>, usize)>,
}

impl Items {
    fn new(options: Options) -> Self {
        let page = Page::new(options.page);
        let items = AtomicU64::new(options.items);
        Self { options, page, items, changed_percent: AtomicU64::new(0), revision: AtomicU64::new(0) }
    }

    fn answer(&self, target: &str, answer: &mut Answer) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["_bench", "items", items] => return self.items.store(items.parse().unwrap_or(0), Ordering::Relaxed),
            ["_bench", "change", percent] => {
                self.changed_percent.store(percent.parse().unwrap_or(0), Ordering::Relaxed);
                self.revision.fetch_add(1, Ordering::Relaxed);
                return;
            }
            ["parts"] => {
                let parts: Vec<String> = (0..self.options.parts).map(|n| format!("\"p{n}\"")).collect();
                answer.body.extend_from_slice(format!("[{}]", parts.join(",")).as_bytes());
            }
            ["parts", part, "items"] => {
                let part = part.strip_prefix('p').and_then(|n| n.parse::<u64>().ok());
                match part.filter(|n| *n < self.options.parts) {
                    Some(part) => self.items(part, query, answer),
                    None => answer.status = 404,
                }
            }
            _ => answer.status = 404,
        }
        if self.options.delay > 0 {
            std::thread::sleep(Duration::from_millis(self.options.delay));
        }
    }

    fn items(&self, part: u64, query: &str, answer: &mut Answer) {
        let number: u64 = query.strip_prefix("page=").and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
        // Part by part: the first ones take what doesn't divide.
        let Options { parts, page, .. } = self.options;
        let items = self.items.load(Ordering::Relaxed);
        let (first, end) = (items * part / parts, items * (part + 1) / parts);
        let from = (first + (number - 1) * page).min(end);
        let to = (from + page).min(end);
        let revision = self.revision.load(Ordering::Relaxed);
        let percent = self.changed_percent.load(Ordering::Relaxed);
        let revision_of = |n: u64| if n % 100 < percent { FIRST_REVISION + revision } else { FIRST_REVISION };
        self.page.write(from, to - from, revision_of, &mut answer.body);
        if to < end {
            // Writing to a String can't fail.
            let _ = write!(
                answer.headers,
                "link: <https://{HOST}/parts/p{part}/items?page={}>; rel=\"next\"\r\n",
                number + 1
            );
        }
    }
}

impl Page {
    fn new(items: u64) -> Self {
        let (mut text, mut places) = (vec![b'['], Vec::new());
        for n in 0..items {
            if n > 0 {
                text.push(b',');
            }
            let start = text.len();
            text.extend_from_slice(template(n).as_bytes());
            let item = text.get(start..).unwrap_or_default();
            let find = |mark: &[u8]| {
                let found = item.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark);
                found.map(|(at, _)| start + at).collect::<Vec<usize>>()
            };
            let (ids, revision) = (find(b"##########"), find(b"%%%%"));
            places.push((text.len(), ids, revision.first().copied().unwrap_or(start)));
        }
        Self { text, items: places }
    }

    /// Writes the page that begins with item `from`.
    fn write(&self, from: u64, count: u64, revision_of: impl Fn(u64) -> u64, out: &mut Vec<u8>) {
        let count = usize::try_from(count).unwrap_or(0).min(self.items.len());
        let end = count.checked_sub(1).and_then(|last| self.items.get(last)).map_or(1, |(end, ..)| *end);
        out.extend_from_slice(self.text.get(..end).unwrap_or_default());
        for (number, (_, ids, revision)) in (from..).zip(self.items.iter().take(count)) {
            let id = digits::<10>(FIRST_ID + number);
            for at in ids {
                if let Some(place) = out.get_mut(*at..*at + 10) {
                    place.copy_from_slice(&id);
                }
            }
            if let Some(place) = out.get_mut(*revision..*revision + 4) {
                place.copy_from_slice(&digits::<4>(revision_of(number)));
            }
        }
        out.push(b']');
    }
}

/// A number's last digits.
fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    text
}

/// An item with marks where its numbers go. What differs from item to item on a page differs in length too.
fn template(n: u64) -> String {
    fn pick(n: u64, salt: u64, from: &[&'static str]) -> &'static str {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).wrapping_mul(salt | 1) >> 33;
        from.get(usize::try_from(mixed).unwrap_or(0) % from.len()).copied().unwrap_or_default()
    }
    let given = pick(n, 3, &["Ada", "Grace", "Margaret", "Katherine", "Hedy", "Radia", "Barbara", "Frances"]);
    let family = pick(n, 5, &["Lovelace", "Hopper", "Hamilton", "Johnson", "Lamarr", "Perlman", "Liskov", "Allen"]);
    let title = pick(n, 7, &["Senior Reliability Engineer", "Analyst", "Director of Operations", "Site Lead"]);
    let department = pick(n, 11, &["Platform Engineering", "Finance", "Customer Success", "Legal and Compliance"]);
    let city = pick(n, 13, &["Rotterdam", "Lisbon", "Osaka", "Montréal", "Nairobi", "São Paulo"]);
    let zone = pick(n, 17, &["Europe/Amsterdam", "America/Sao_Paulo", "Asia/Tokyo", "Africa/Nairobi"]);
    let status = pick(n, 19, &["ACTIVE", "SUSPENDED", "DEPROVISIONED"]);
    let words = pick(
        n,
        23,
        &[
            "Keeps the lights on in the second data centre and writes the reports about it",
            "Looks after the people who look after the machines, \\\"and the coffee\\\"",
            "Answers for the numbers that leave the house at the end of each quarter, and for those that stay",
        ],
    );
    let mfa = if !n.is_multiple_of(3) { "true" } else { "false" };
    let (low_given, low_family) = (given.to_ascii_lowercase(), family.to_ascii_lowercase());
    format!(
        "{{\"id\":##########,\"name\":\"{given} {family} ##########\",\"login\":\"{low_given}.{low_family}.##########\",\
         \"email\":\"{low_given}.{low_family}.##########@{HOST}\",\"title\":\"{title}\",\
         \"department\":\"{department}\",\"costCenter\":\"CC-4711-0815\",\"city\":\"{city}\",\"countryCode\":\"NL\",\
         \"timeZone\":\"{zone}\",\"phone\":\"+31 10 ##########\",\"status\":\"{status}\",\"managerId\":{},\
         \"createdAt\":\"2021-03-04T05:06:07.000Z\",\"updatedAt\":\"2026-01-02T03:04:05.000Z\",\"revision\":%%%%,\
         \"active\":true,\"mfaEnabled\":{mfa},\"groups\":[\"everyone\",\"engineering\",\"on-call-primary\"],\
         \"description\":\"{words}\",\"webLink\":\"https://{HOST}/people/##########\",\
         \"_links\":{{\"self\":\"https://{HOST}/api/people/##########\"}},\"passwordChanged\":null}}",
        FIRST_ID + n / 10
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use serde_json::Value;

    fn get(items: &Items, target: &str) -> (Value, String) {
        let mut answer = Answer::default();
        items.answer(target, &mut answer);
        (serde_json::from_slice(&answer.body).unwrap(), answer.headers)
    }

    #[test]
    fn every_item_comes_once_and_one_in_a_hundred_changes() {
        let items = Items::new(Options { items: 1_005, parts: 2, page: 100, delay: 0 });
        let all = |items: &Items| {
            let mut all = Vec::new();
            for part in 0..2 {
                let mut page = 1;
                loop {
                    let (body, headers) = get(items, &format!("/parts/p{part}/items?page={page}"));
                    all.extend(body.as_array().unwrap().clone());
                    page += 1;
                    if headers.is_empty() {
                        break;
                    }
                    assert!(headers.contains(&format!("?page={page}>")), "{headers}");
                }
            }
            all
        };
        let before = all(&items);
        let ids: Vec<u64> = before.iter().map(|i| i["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (FIRST_ID..FIRST_ID + 1_005).collect::<Vec<_>>());
        let mut answer = Answer::default();
        items.answer("/_bench/change/1", &mut answer);
        let after = all(&items);
        assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 11);
        let bytes = before.iter().map(|i| i.to_string().len()).sum::<usize>() / before.len();
        assert!((650..800).contains(&bytes), "{bytes} bytes an item");
    }
}
