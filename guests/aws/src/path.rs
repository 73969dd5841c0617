//! Places in replies, and texts made of what stands there.
//!
//! A **path** names fields with `/` between them. Lists on the way are gone through, so `Users/member` is every user; `*` is
//! every field of an object; `.` is the value itself; `a|b` is `b` where there is no `a`; `a + b` is both.
//!
//! A **template** is a text with paths in braces: `arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:vpc/{vpcId}`. A path is looked for
//! in what is at hand, and then among the [`Names`]; `^path` is looked for in what is around that: the item of a part, and
//! what the item was found under. A template of which a place is missing or empty is nothing at all.

use serde_json::Value;
use std::borrow::Cow;
use std::rc::Rc;

/// Every value at a path, in order.
#[must_use]
pub fn each<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut all = Vec::new();
    for part in path.split(" + ") {
        for choice in part.split('|') {
            let before = all.len();
            walk(value, choice, &mut all);
            if all.len() > before {
                break;
            }
        }
    }
    all
}

fn walk<'v>(value: &'v Value, path: &str, out: &mut Vec<&'v Value>) {
    match (value, path) {
        (Value::Null, _) => {}
        (Value::Array(list), _) => list.iter().for_each(|v| walk(v, path, out)),
        (_, "." | "") => out.push(value),
        (Value::Object(fields), _) => {
            let (name, rest) = path.split_once('/').unwrap_or((path, "."));
            if name == "*" {
                fields.values().for_each(|v| walk(v, rest, out));
            } else if let Some(v) = fields.get(name) {
                walk(v, rest, out);
            }
        }
        _ => {}
    }
}

/// Takes the values at a path out of a reply, which is done with afterwards. No choices, no `*`.
#[must_use]
pub fn take(mut value: Value, path: &str) -> Vec<Value> {
    let mut rest = &mut value;
    let mut way = path.split('/').filter(|name| !matches!(*name, "." | ""));
    while !rest.is_array() {
        let Some(name) = way.next() else { break };
        let Some(next) = rest.get_mut(name) else { return Vec::new() };
        rest = next;
    }
    let left = way.collect::<Vec<_>>().join("/");
    match rest.take() {
        Value::Array(list) => {
            list.into_iter().flat_map(|v| if left.is_empty() { vec![v] } else { take(v, &left) }).collect()
        }
        // XML says "no items" as an element without content.
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        one => vec![one],
    }
}

/// The first value at a path as text: a text that isn't empty, a number, yes or no.
#[must_use]
pub fn text<'v>(value: &'v Value, path: &str) -> Option<Cow<'v, str>> {
    each(value, path).into_iter().find_map(scalar)
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(yes) => Some(Cow::Borrowed(if *yes { "true" } else { "false" })),
        _ => None,
    }
}

/// What every template may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// `{P}`: the partition of AWS: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// `{ACCOUNT}`: the account that is collected, twelve digits.
    pub account: String,
    /// `{REGION}`: the region of a step that has one; else empty.
    pub region: String,
}

impl Names {
    fn get(&self, name: &str) -> Option<&str> {
        let value = match name {
            "P" => &self.partition,
            "ACCOUNT" => &self.account,
            "REGION" => &self.region,
            _ => return None,
        };
        (!value.is_empty()).then_some(value)
    }
}

/// Something that was found, and what it was found under.
#[derive(Debug, Clone)]
pub struct Item {
    /// As AWS describes it, with what was asked about it further.
    pub value: Value,
    /// The list's owner: the cluster of a task, the reservation of an instance.
    pub under: Option<Rc<Item>>,
}

impl Item {
    /// Something that was found by itself.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self { value, under: None }
    }

    /// The text at a path; empty when there is none.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        text(&self.value, path).unwrap_or_default().into_owned()
    }

    /// The text at a path of what it was found under; empty when there is none.
    #[must_use]
    pub fn text_above(&self, path: &str) -> String {
        self.under.as_deref().map(|under| under.text(path)).unwrap_or_default()
    }
}

/// Where a template looks.
#[derive(Clone)]
pub struct Scope<'a> {
    /// What every template may name.
    pub names: &'a Names,
    /// The key of the entity that is being made, which `{KEY}` is.
    pub key: &'a str,
    /// What is at hand, then what is around it, outwards.
    levels: Vec<&'a Value>,
}

impl<'a> Scope<'a> {
    /// The whole item is at hand; around it is what it was found under.
    #[must_use]
    pub fn of(names: &'a Names, item: &'a Item) -> Self {
        let mut levels = vec![&item.value];
        let mut under = item.under.as_deref();
        while let Some(item) = under {
            levels.push(&item.value);
            under = item.under.as_deref();
        }
        Self { names, key: "", levels }
    }

    /// The same, while the entity with this key is made.
    #[must_use]
    pub fn making<'k>(self, key: &'k str) -> Scope<'k>
    where
        'a: 'k,
    {
        Scope { key, ..self }
    }

    /// Each part of what is at hand, with that around it.
    pub fn parts(&self, path: &str) -> Vec<Self> {
        if path == "." {
            return vec![self.clone()];
        }
        let around = |part: &'a Value| std::iter::once(part).chain(self.levels.iter().copied()).collect();
        self.each(path).into_iter().map(|part| Self { levels: around(part), ..*self }).collect()
    }

    /// Every value at a path in what is at hand.
    #[must_use]
    pub fn each(&self, path: &str) -> Vec<&'a Value> {
        self.levels.first().map(|part| each(part, path)).unwrap_or_default()
    }

    /// The first text that one of the paths finds.
    #[must_use]
    pub fn text(&self, paths: &str) -> Option<Cow<'a, str>> {
        paths.split('|').find_map(|path| match path.strip_prefix('^') {
            Some(path) => self.levels.iter().skip(1).find_map(|level| text(level, path)),
            None if path == "KEY" && !self.key.is_empty() => Some(Cow::Borrowed(self.key)),
            None => self
                .levels
                .first()
                .and_then(|part| text(part, path))
                .or_else(|| self.names.get(path).map(Cow::Borrowed)),
        })
    }

    /// Fills a template.
    ///
    /// # Errors
    /// The place that is missing.
    pub fn fill<'t>(&self, template: &'t str) -> Result<String, &'t str> {
        let mut filled = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (path, after) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(&self.text(path).ok_or(path)?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_go_through_lists_objects_and_choices() {
        let value =
            json!({"a": [{"b": 1}, {"b": [2, 3]}], "m": {"GET": {"u": "x"}, "PUT": {"u": "y"}}, "e": "", "n": null});
        assert_eq!(each(&value, "a/b"), [&json!(1), &json!(2), &json!(3)]);
        assert_eq!(each(&value, "m/*/u"), [&json!("x"), &json!("y")]);
        assert_eq!(each(&value, "no|a/b").len(), 3);
        assert_eq!(each(&value, "m/GET/u + m/PUT/u + n").len(), 2);
        assert_eq!((text(&value, "e"), text(&value, "a"), text(&value, "a/b").as_deref()), (None, None, Some("1")));
    }

    #[test]
    fn what_is_taken_is_every_item() {
        let reply =
            || json!({"L": {"member": [{"x": 1}, {"x": {"i": [5, 6]}}]}, "One": {"item": {"x": 2}}, "None": ""});
        assert_eq!(take(reply(), "L/member").len(), 2);
        assert_eq!(take(reply(), "L/member/x/i"), [json!(5), json!(6)]);
        assert_eq!(take(reply(), "One/item"), [json!({"x": 2})]);
        assert!(
            take(reply(), "None/item").is_empty() && take(reply(), "None").is_empty() && take(reply(), "q").is_empty()
        );
        assert_eq!(take(json!([1, 2]), "."), [json!(1), json!(2)]);
        assert_eq!(take(reply(), ""), [reply()]);
    }

    #[test]
    fn templates_look_at_hand_or_around_it() {
        let names = Names { partition: "aws".into(), account: "1".into(), region: String::new() };
        let under = Some(Rc::new(Item::new(json!({"id": "outer", "o": "owner"}))));
        let item = Item { value: json!({"id": "inner", "list": [{"x": 7}]}), under };
        let scope = Scope { key: "k", ..Scope::of(&names, &item) };
        assert_eq!(scope.fill("{P}:{id}:{^id}:{^o|ACCOUNT}:{zz|ACCOUNT}:{KEY}").unwrap(), "aws:inner:outer:owner:1:k");
        assert_eq!(
            (scope.fill("{REGION}"), scope.fill("a{none}"), scope.fill("{o}")),
            (Err("REGION"), Err("none"), Err("o"))
        );
        let parts = scope.parts("list");
        assert_eq!(parts[0].fill("{x}/{^id}/{^o}").unwrap(), "7/inner/owner");
        assert_eq!(parts[0].fill("{id}"), Err("id"));
        assert_eq!(scope.parts(".")[0].fill("{^id}").unwrap(), "outer");
    }
}
