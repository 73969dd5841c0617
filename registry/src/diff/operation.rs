//! One operation against another: what it sends, with which credential, and what of the answer the guest gets.

use super::arguments::{self, Table};
use super::worlds::{Set, Show, shown};
use super::{Change, Cx, scrub, template};
use crate::readonly::same_tokens;
use porthole_model::manifest::{Body, BodyFormat, Operation, Pages, Sign};
use std::collections::BTreeSet;
use std::fmt::Display;

/// Every change from one operation to another. Their names aren't compared.
pub(super) fn compare(cx: &Cx<'_>, old: &Operation, new: &Operation, place: &str) -> Vec<Change> {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let Operation {
        id: _,
        request,
        path,
        query,
        headers,
        body,
        auth,
        pages,
        empty_on,
        response_headers,
        read_by_post,
        permission,
        revalidate,
        sign,
        action,
    } = new;
    let pair = Pair { cx, old, new, place };
    let mut changes = Vec::new();
    if *request != old.request || *path != old.path {
        changes.extend(template::compare(&pair));
    }
    changes.extend(arguments::compare(&pair, Table::Query, &old.query, query));
    if *headers != old.headers {
        changes.extend(pair.headers());
    }
    if *body != old.body {
        changes.extend(pair.body());
    }
    if *auth != old.auth {
        changes.push(pair.auth());
    }
    if *pages != old.pages {
        let what = format!("pages by {} instead of {}", paging(pages), paging(&old.pages));
        changes.push(
            Change::different(format!("{place}: pages"), what).detail("a next page is a request of the same operation"),
        );
    }
    if *empty_on != old.empty_on {
        changes.extend(pair.set("empty-on", &old.empty_on, empty_on, |status, request| {
            (
                format!("{status} means \"there is none\""),
                format!("{request} answered {status}: what it held is deleted"),
            )
        }));
    }
    if *response_headers != old.response_headers {
        changes.extend(pair.set("response-headers", &old.response_headers, response_headers, |name, request| {
            (format!("the guest sees `{name}`"), format!("{request} and the guest reads `{name}` of the answer"))
        }));
    }
    if *read_by_post != old.read_by_post {
        let why = |reason: &Option<String>| reason.clone().unwrap_or_else(|| "none".to_owned());
        changes.push(
            Change::different(format!("{place}: read-by-post"), "the reason why it is a read changed").detail(format!(
                "{:?} became {:?}",
                why(&old.read_by_post),
                why(read_by_post)
            )),
        );
    }
    if *permission != old.permission {
        changes.push(pair.permission());
    }
    if *revalidate != old.revalidate {
        changes.push(revalidation(place, *revalidate));
    }
    if *sign != old.sign {
        let scope = |sign: &Option<Sign>| match sign {
            Some(sign) => format!("{} in {}", sign.service, sign.region),
            None => "nothing".to_owned(),
        };
        let what = format!("is signed for {} instead of {}", scope(sign), scope(&old.sign));
        changes.push(pair.wider(&format!("{place}: sign"), what, &[], Show::Usual));
    }
    if *action != old.action {
        let word = |action: &Option<String>| action.clone().unwrap_or_else(|| "nothing".to_owned());
        let what = format!("needs the permission {} instead of {}", word(action), word(&old.action));
        let example = pair.any().unwrap_or_else(|| new.request.clone());
        changes.push(Change::wider(format!("{place}: action"), what, example));
    }
    changes.extend(scrub::compare(&pair));
    let differs = Operation { id: old.id.clone(), ..new.clone() } != *old;
    if differs && changes.is_empty() {
        changes.push(Change::unknown(place, "changed in a way that has no explanation"));
    }
    changes
}

/// Two operations that are compared.
pub(super) struct Pair<'a> {
    pub(super) cx: &'a Cx<'a>,
    pub(super) old: &'a Operation,
    pub(super) new: &'a Operation,
    /// How the new one is called in places.
    pub(super) place: &'a str,
}

impl Pair<'_> {
    /// A change that lets the operation make requests that it could not make: wider, when there is a request that shows
    /// it.
    pub(super) fn wider(&self, at: &str, what: impl Into<String>, set: &[Set<'_>], show: Show) -> Change {
        let worlds = self.cx.worlds.as_ref();
        match worlds.and_then(|w| w.only_new(&self.new.id, Some(self.old), set)) {
            Some(only) => {
                let change = Change::wider(at, what, shown(&only.request, self.new, show));
                match only.as_other {
                    Some(other) => change.detail(format!("the old version could make this request as `{other}` only")),
                    None => change,
                }
            }
            None => Change::unknown(at, what)
                .detail("neither a request that only the new version makes was found, nor a proof that there is none"),
        }
    }

    /// Some request of the operation, as a text.
    pub(super) fn any(&self) -> Option<String> {
        let request = self.cx.worlds.as_ref()?.any(&self.new.id, Some(self.old))?;
        Some(shown(&request, self.new, Show::Usual))
    }

    fn headers(&self) -> Vec<Change> {
        let names: BTreeSet<_> = self.new.headers.keys().chain(self.old.headers.keys()).collect();
        let mut changes = Vec::new();
        for name in names {
            let what = match (self.old.headers.get(name), self.new.headers.get(name)) {
                (old, new) if old == new => continue,
                (None, Some(value)) => format!("added: `{value}`"),
                (Some(value), None) => format!("removed: was `{value}`"),
                (old, new) => {
                    format!("`{}` became `{}`", old.map_or("", String::as_str), new.map_or("", String::as_str))
                }
            };
            let at = format!("{}: headers `{name}`", self.place);
            changes.push(self.wider(&at, what, &[], Show::Headers).or_detail("a provider may answer otherwise"));
        }
        changes
    }

    fn body(&self) -> Vec<Change> {
        let at = |table: &str| format!("{}: {table}", self.place);
        match (&self.old.body, &self.new.body) {
            (Some(Body::Form { arguments: old }), Some(Body::Form { arguments: new })) => {
                arguments::compare(self, Table::Form, old, new)
            }
            (
                Some(Body::Json { arguments: old, content_type: old_type }),
                Some(Body::Json { arguments: new, content_type }),
            ) => {
                let mut changes = arguments::compare(self, Table::Json, old, new);
                if content_type != old_type {
                    let what = format!("is sent as {content_type:?} instead of {old_type:?}");
                    changes.push(self.wider(&at("content-type"), what, &[], Show::Document));
                }
                changes
            }
            (
                Some(Body::Graphql { document: old, variables: old_variables }),
                Some(Body::Graphql { document: new, variables: new_variables }),
            ) => {
                let mut changes = Vec::new();
                if old != new {
                    changes.push(match same_tokens(old, new) {
                        true => Change::different(at("graphql"), "the document is laid out otherwise"),
                        false => self.wider(&at("graphql"), "the document changed", &[], Show::Document),
                    });
                }
                changes.extend(arguments::compare(self, Table::Variables, old_variables, new_variables));
                changes
            }
            (old, new) => {
                let kind = |body: &Option<Body>| match body {
                    None => "no body",
                    Some(Body::Form { .. }) => "a form",
                    Some(Body::Json { .. }) => "JSON",
                    Some(Body::Graphql { .. }) => "a GraphQL document",
                };
                let what = format!("sends {} instead of {}", kind(new), kind(old));
                vec![self.wider(&at("body"), what, &[], Show::Document)]
            }
        }
    }

    fn auth(&self) -> Change {
        let slot = |auth: &Option<porthole_model::id::Slot>| match auth {
            Some(slot) => format!("credential `{slot}`"),
            None => "no credential".to_owned(),
        };
        let what = format!("goes out with {} instead of {}", slot(&self.new.auth), slot(&self.old.auth));
        self.wider(&format!("{}: auth", self.place), what, &[], Show::Usual)
    }

    fn permission(&self) -> Change {
        let at = format!("{}: permission", self.place);
        match (&self.old.permission, &self.new.permission) {
            (Some(old), None) => {
                Change::different(at, "asks the provider's administrator for nothing").detail(format!("was {old:?}"))
            }
            (old, Some(new)) => {
                let old = old.as_deref().unwrap_or("none");
                Change::unknown(at, "asks the provider's administrator for something else")
                    .detail(format!("{old:?} became {new:?}; words can't be compared"))
            }
            (None, None) => Change::different(at, "unchanged"),
        }
    }

    /// A list without order: what is added is wider, what is gone is narrower.
    fn set<T: PartialEq + Display>(
        &self,
        key: &str,
        old: &[T],
        new: &[T],
        say: impl Fn(&T, &str) -> (String, String),
    ) -> Vec<Change> {
        let at = format!("{}: {key}", self.place);
        let request = self.any().unwrap_or_else(|| self.new.request.clone());
        let mut changes = Vec::new();
        for item in new.iter().filter(|item| !old.contains(item)) {
            let (what, example) = say(item, &request);
            changes.push(Change::wider(at.clone(), what, example));
        }
        for item in old.iter().filter(|item| !new.contains(item)) {
            changes.push(Change::narrower(at.clone(), format!("no longer: {}", say(item, &request).0)));
        }
        if changes.is_empty() {
            changes.push(Change::different(at, "stands in another order"));
        }
        changes
    }
}

/// Neither wider nor narrower: the same requests, and the guest gets the same answers. What differs is who is believed.
fn revalidation(place: &str, on: bool) -> Change {
    let at = format!("{place}: revalidate");
    if on {
        Change::different(at, "its answers are kept, and asked about again").detail(
            "sealed with the tenant's data key; when the provider answers 304 (not modified), the guest gets what is kept",
        )
    } else {
        Change::different(at, "its answers are no longer kept").detail("each is fetched anew")
    }
}

fn paging(pages: &Pages) -> String {
    match pages {
        Pages::None => "nothing".to_owned(),
        Pages::Link => "the `Link` header".to_owned(),
        Pages::Cursor { cursor, more, argument, body } => {
            let more = more.as_ref().map(|more| format!(" while `{more}`")).unwrap_or_default();
            let of = if *body == BodyFormat::Xml { " of XML" } else { "" };
            format!("`{cursor}`{of} into `{argument}`{more}")
        }
    }
}
