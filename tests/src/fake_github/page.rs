//! Pages: which slice of a list a request asks for, and the `Link` header that leads on.

use url::form_urlencoded;

/// The page size when none is given.
const PER_PAGE_DEFAULT: usize = 30;
/// The largest page size; more is silently cut to it, as the real API does.
const PER_PAGE_MAX: usize = 100;

/// The query of a request, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The same query with another page: at its place when there was one, else at the end.
    fn with_page(&self, page: usize) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let mut found = false;
        for (name, value) in &self.0 {
            if name == "page" {
                found = true;
                out.append_pair(name, &page.to_string());
            } else {
                out.append_pair(name, value);
            }
        }
        if !found {
            out.append_pair("page", &page.to_string());
        }
        out.finish()
    }
}

/// One page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    pub(super) number: usize,
    pub(super) per_page: usize,
}

impl Page {
    /// Whatever isn't a positive number counts as not given.
    pub(super) fn of(query: &Query) -> Self {
        let number = |name| query.get(name).and_then(|v| v.parse::<usize>().ok()).filter(|n| *n > 0);
        Self {
            number: number("page").unwrap_or(1),
            per_page: number("per_page").unwrap_or(PER_PAGE_DEFAULT).min(PER_PAGE_MAX),
        }
    }

    pub(super) fn skip(self) -> usize {
        (self.number - 1).saturating_mul(self.per_page)
    }

    fn last(self, total: usize) -> usize {
        total.div_ceil(self.per_page).max(1)
    }

    /// The `Link` header for this page of a list, or nothing when the list is one page. The address is the numeric one
    /// that the real API leads on with, whatever address was asked.
    pub(super) fn links(self, base: &str, query: &Query, total: usize) -> Option<String> {
        let last = self.last(total);
        let mut links = Vec::new();
        let mut link = |page: usize, rel: &str| {
            links.push(format!("<{base}?{}>; rel=\"{rel}\"", query.with_page(page)));
        };
        if self.number > 1 {
            link(self.number - 1, "prev");
        }
        if self.number < last {
            link(self.number + 1, "next");
            link(last, "last");
        } else if self.number > last {
            link(last, "last");
        }
        if self.number > 1 {
            link(1, "first");
        }
        (!links.is_empty()).then(|| links.join(", "))
    }

    /// A link that leads on whatever the list says: to the next number, or to this very page.
    pub(super) fn forced_next(self, base: &str, query: &Query, itself: bool) -> String {
        let next = if itself { self.number } else { self.number.saturating_add(1) };
        format!("<{base}?{}>; rel=\"next\"", query.with_page(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(query: &str, total: usize) -> Option<String> {
        let query = Query::parse(Some(query));
        Page::of(&query).links("https://api.github.com/organizations/1/repos", &query, total)
    }

    // The shapes of `paginate-issues` in @octokit/fixtures, which are recorded from the real API.
    #[test]
    fn links_have_the_form_of_the_real_api() {
        let base = "https://api.github.com/organizations/1/repos";
        assert_eq!(
            links("per_page=3", 13),
            Some(format!("<{base}?per_page=3&page=2>; rel=\"next\", <{base}?per_page=3&page=5>; rel=\"last\""))
        );
        assert_eq!(
            links("per_page=3&page=3", 13),
            Some(format!(
                "<{base}?per_page=3&page=2>; rel=\"prev\", <{base}?per_page=3&page=4>; rel=\"next\", \
                 <{base}?per_page=3&page=5>; rel=\"last\", <{base}?per_page=3&page=1>; rel=\"first\""
            ))
        );
        assert_eq!(
            links("per_page=3&page=5", 13),
            Some(format!("<{base}?per_page=3&page=4>; rel=\"prev\", <{base}?per_page=3&page=1>; rel=\"first\""))
        );
        assert_eq!(links("per_page=100", 100), None);
        assert_eq!(links("", 0), None);
    }

    #[test]
    fn nonsense_counts_as_not_given() {
        for query in ["", "page=0&per_page=0", "page=-1&per_page=x", "page=&per_page="] {
            assert_eq!(Page::of(&Query::parse(Some(query))), Page { number: 1, per_page: 30 }, "{query}");
        }
        assert_eq!(Page::of(&Query::parse(Some("per_page=5000"))).per_page, 100);
    }
}
