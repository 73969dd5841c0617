//! The far end of a mapped relationship: a field `m` that stands for `t` or for `f`, and `d`, which says for which.

use super::reader::{need, set, strings};
use crate::json::Scanner;
use crate::object::{End, Far};
use crate::reason::Reason;
use crate::text::shown;
use std::borrow::Cow;

/// The far end as it was read.
#[derive(Default)]
pub(super) struct Carried<'a> {
    key: Option<Cow<'a, str>>,
    object_type: Option<Cow<'a, str>>,
    class: Option<Vec<Cow<'a, str>>>,
}

impl<'a> Carried<'a> {
    pub(super) fn read(scanner: &mut Scanner<'a>) -> Result<Self, Reason> {
        let mut far = Self::default();
        scanner.members(|scanner, name| match &*name {
            "k" => set(&mut far.key, "k", scanner.string()?),
            "t" => set(&mut far.object_type, "t", scanner.string()?),
            "c" => set(&mut far.class, "c", strings(scanner)?),
            _ => Err(Reason::UnknownField(shown(&format!("m.{name}")))),
        })?;
        Ok(far)
    }
}

/// Puts the key of a far end into the field that it stands for.
pub(super) fn place<'a>(
    far: &mut Option<Carried<'a>>,
    end: Option<&str>,
    from: &mut Option<Cow<'a, str>>,
    to: &mut Option<Cow<'a, str>>,
) -> Result<(), Reason> {
    let (far, name) = match (far, end) {
        (None, None) => return Ok(()),
        (Some(far), Some(name)) => (far, name),
        (Some(_), None) => return Err(Reason::MissingField("d")),
        (None, Some(_)) => return Err(Reason::MissingField("m")),
    };
    let (place, field) = match End::named(name) {
        Some(End::From) => (from, "f"),
        Some(End::To) => (to, "t"),
        None => return Err(Reason::FarEnd(shown(name))),
    };
    let key = far.key.take().ok_or(Reason::MissingField("m.k"))?;
    // It would be given twice.
    if place.replace(key).is_some() { Err(Reason::UnknownField(field.to_owned())) } else { Ok(()) }
}

/// That a far end is what the manifest says of it: there, or not.
pub(super) fn check(far: &mut Option<Carried<'_>>, end: Option<&str>, declared: Option<&Far>) -> Result<(), Reason> {
    let (far, declared) = match (far, declared) {
        (None, None) => return Ok(()),
        (Some(far), Some(declared)) => (far, declared),
        (Some(_), None) => return Err(Reason::FarEnd("the type has none".to_owned())),
        (None, Some(declared)) => return Err(Reason::FarEnd(format!("`{}` is to be carried", declared.end))),
    };
    let object_type = need(&far.object_type, "m.t")?;
    if end != Some(declared.end.as_str()) || object_type != declared.object_type {
        return Err(Reason::FarEnd(shown(&format!("{} {object_type}", end.unwrap_or_default()))));
    }
    let class = far.class.as_mut().ok_or(Reason::MissingField("m.c"))?;
    class.sort_unstable();
    if *class == declared.class { Ok(()) } else { Err(Reason::Class(shown(&class.join(", ")))) }
}
