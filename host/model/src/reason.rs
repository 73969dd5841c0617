//! Why an emitted object was set aside. The code is stable: people, tests and the run log count by it. The text is for
//! a person and holds guest bytes only cut and without control characters.

use crate::json;
use crate::parse;

/// Why an emitted object was set aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The line is too long to be looked at.
    #[error("the line has {0} bytes, at most {max} are read", max = parse::MAX_LINE_BYTES)]
    LineTooLong(usize),
    /// Not UTF-8.
    #[error("byte {0} is not UTF-8")]
    Utf8(usize),
    /// Not JSON.
    #[error("byte {at}: expected {expected}")]
    Syntax {
        /// The offset in the line.
        at: usize,
        /// What would have been right.
        expected: &'static str,
    },
    /// A key given twice: two readers of the same bytes could see two different objects.
    #[error("key `{0}` is given twice")]
    DuplicateKey(String),
    /// U+0000, raw or escaped, which Postgres text can't hold.
    #[error("byte {0}: U+0000 can't be stored")]
    Nul(usize),
    /// `\ud800` without its other half, which is no character.
    #[error("byte {0}: half of a surrogate pair")]
    Surrogate(usize),
    /// Nested too deep.
    #[error("nested more than {max} deep", max = json::MAX_DEPTH)]
    Depth,
    /// A number that can't be kept exactly, or would grow when it is stored.
    #[error("number `{0}` is out of range: integers have 64 bits, other numbers {max} characters and exponents to {exp}",
            max = crate::number::MAX_NUMBER_CHARS, exp = crate::number::MAX_EXPONENT)]
    Number(String),
    /// A string is too long.
    #[error("a string has {0} bytes, at most {max} are kept", max = json::MAX_STRING_BYTES)]
    StringTooLong(usize),
    /// A list or an inner object is too long.
    #[error("a list has more than {max} elements", max = json::MAX_ELEMENTS)]
    ListTooLong,
    /// Too many properties.
    #[error("more than {max} properties", max = json::MAX_PROPERTIES)]
    TooManyProperties,
    /// A property's name is empty or too long.
    #[error("a property name has {0} bytes, 1 to {max} are allowed", max = json::MAX_NAME_BYTES)]
    PropertyName(usize),
    /// A property's name starts with `_`, which is where the host's own columns live.
    #[error("property `{0}`: names with a leading `_` are reserved")]
    ReservedProperty(String),
    /// A key is empty, too long, or holds a control character.
    #[error("field `{0}`: a key has 1 to {max} bytes and no control characters", max = parse::MAX_KEY_BYTES)]
    Key(&'static str),
    /// The key made of `FROM|VERB|TO` is too long.
    #[error("`FROM|VERB|TO` is longer than {max} bytes; give the relationship a key of its own",
            max = parse::MAX_KEY_BYTES)]
    DefaultKey,
    /// The display name is too long.
    #[error("the display name has {0} bytes, at most {max} are kept", max = parse::MAX_DISPLAY_NAME_BYTES)]
    DisplayName(usize),
    /// A field that objects of this kind don't have.
    #[error("field `{0}` doesn't belong here")]
    UnknownField(String),
    /// A field that objects of this kind need.
    #[error("field `{0}` is missing")]
    MissingField(&'static str),
    /// The step's manifest doesn't declare the type.
    #[error("the step doesn't declare type `{0}`")]
    UndeclaredType(String),
    /// Other classes than declared.
    #[error("the classes are not those that the manifest declares: {0}")]
    Class(String),
    /// Another verb than declared.
    #[error("the verb is not the one that the manifest declares: `{0}`")]
    Verb(String),
    /// A mapped relationship whose far end isn't the declared one, or the other way round.
    #[error("the far end is not the one that the manifest declares: {0}")]
    FarEnd(String),
    /// A class demands a property that is missing or null.
    #[error("property `{0}` is missing or null; a class of this type requires it")]
    MissingProperty(String),
}

impl Reason {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::LineTooLong(_) => "line-too-long",
            Self::Utf8(_) => "utf-8",
            Self::Syntax { .. } => "syntax",
            Self::DuplicateKey(_) => "duplicate-key",
            Self::Nul(_) => "nul",
            Self::Surrogate(_) => "surrogate",
            Self::Depth => "depth",
            Self::Number(_) => "number",
            Self::StringTooLong(_) => "string-too-long",
            Self::ListTooLong => "list-too-long",
            Self::TooManyProperties => "too-many-properties",
            Self::PropertyName(_) => "property-name",
            Self::ReservedProperty(_) => "reserved-property",
            Self::Key(_) => "key",
            Self::DefaultKey => "default-key",
            Self::DisplayName(_) => "display-name",
            Self::UnknownField(_) => "unknown-field",
            Self::MissingField(_) => "missing-field",
            Self::UndeclaredType(_) => "undeclared-type",
            Self::Class(_) => "class",
            Self::Verb(_) => "verb",
            Self::FarEnd(_) => "far-end",
            Self::MissingProperty(_) => "missing-property",
        }
    }

    /// The bytes are no JSON at all, rather than JSON that breaks one of our limits.
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        matches!(self, Self::Syntax { .. } | Self::Utf8(_) | Self::Surrogate(_))
    }
}
