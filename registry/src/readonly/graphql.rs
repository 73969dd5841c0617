//! Is this GraphQL document exactly one query, and do its variables fit the table of the manifest?
//!
//! A server reads the same text with another parser. What two parsers could read differently (line ends, invisible
//! characters, very deep nesting) is refused before ours looks at it.

use crate::finding::Finding;
use crate::text::deceives;
use apollo_parser::cst::{CstNode, Definition, OperationDefinition, Type, VariableDefinition};
use apollo_parser::{Lexer, Parser, TokenKind};
use porthole_model::manifest::Argument;
use porthole_model::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// The longest document, in bytes: the largest we know is below 8 KiB, and a reviewer reads it.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// How deep selections may nest. Providers stop far earlier (GitHub counts nodes, Shopify stops at 10).
const MAX_DEPTH: usize = 64;
/// How many tokens a document may have.
const MAX_TOKENS: usize = 20_000;

/// The query's name, when the document is exactly one query.
pub(super) fn prove_query(
    place: &str,
    document: &str,
    variables: &BTreeMap<String, Argument>,
) -> Result<Option<String>, Finding> {
    let refuse = |message: String| Finding::error(place, format!("can't be proved to be a read: {message}"));
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(refuse(format!("the document has {} bytes, at most {MAX_DOCUMENT_BYTES}", document.len())));
    }
    // A lone carriage return ends a comment for one parser and not for the next: `# \r mutation { … }`.
    if let Some((at, c)) = document.char_indices().find(|(_, c)| !matches!(c, '\n' | '\t') && deceives(*c)) {
        let message = format!("the document holds the invisible character U+{:04X}", c as u32);
        return Err(refuse(message).in_document(at).hint("use spaces and line feeds"));
    }
    let tree = Parser::new(document).recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS).parse();
    if let Some(error) = tree.errors().next() {
        return Err(refuse(format!("the document doesn't parse: {}", error.message())).in_document(error.index()));
    }
    let root = tree.document();
    // The tree must be the whole text: nothing skipped, nothing added.
    if root.syntax().text() != document {
        return Err(refuse("the document doesn't parse to its own text".to_owned()));
    }
    let query = only_query(root.definitions(), &refuse)?;
    variables_fit(&query, variables, place)?;
    Ok(query.name().map(|n| n.text().to_string()))
}

/// Do two documents differ only in what GraphQL ignores (spaces, line ends, commas, comments)? A document that can't be
/// taken apart is the same as no other.
pub(super) fn same_tokens(a: &str, b: &str) -> bool {
    let tokens = |text| {
        let (tokens, errors) = Lexer::new(text).lex();
        let ignored = [TokenKind::Whitespace, TokenKind::Comment, TokenKind::Comma];
        let kept = tokens.into_iter().filter(|t| !ignored.contains(&t.kind()));
        errors.is_empty().then(|| kept.map(|t| (t.kind(), t.data().to_owned())).collect::<Vec<_>>())
    };
    tokens(a).is_some_and(|a| tokens(b).is_some_and(|b| a == b))
}

fn only_query(
    definitions: impl Iterator<Item = Definition>,
    refuse: &impl Fn(String) -> Finding,
) -> Result<OperationDefinition, Finding> {
    let mut query = None;
    for definition in definitions {
        let at = usize::from(definition.syntax().text_range().start());
        match definition {
            Definition::FragmentDefinition(_) => {}
            Definition::OperationDefinition(operation) => {
                let kind = operation.operation_type();
                let is_query = kind.as_ref().is_none_or(|k| {
                    k.query_token().is_some() && k.mutation_token().is_none() && k.subscription_token().is_none()
                });
                if !is_query {
                    let kind = kind.map(|k| k.syntax().text().to_string()).unwrap_or_default();
                    let message = format!("the document holds a {}", kind.trim());
                    return Err(refuse(message).in_document(at).hint("only queries are admitted"));
                }
                if query.replace(operation).is_some() {
                    return Err(refuse("the document holds more than one operation".to_owned())
                        .in_document(at)
                        .hint("write one manifest operation for each query"));
                }
            }
            other => {
                let message = format!("the document holds a {}", other.kind());
                return Err(refuse(message).in_document(at).hint("only one query and its fragments may be here"));
            }
        }
    }
    query.ok_or_else(|| refuse("the document holds no query".to_owned()))
}

/// The variables of the query and those of the manifest are the same, and of types that a value can have.
fn variables_fit(query: &OperationDefinition, table: &BTreeMap<String, Argument>, place: &str) -> Result<(), Finding> {
    let mut declared = BTreeSet::new();
    let definitions = query.variable_definitions().into_iter().flat_map(|v| v.variable_definitions());
    for definition in definitions {
        let Some(name) = definition.variable().and_then(|v| v.name()).map(|n| n.text().to_string()) else { continue };
        let at = usize::from(definition.syntax().text_range().start());
        let Some(argument) = table.get(&name) else {
            return Err(Finding::error(place, format!("`${name}` is not in `variables`"))
                .in_document(at)
                .hint("give it a rule there, or take it out of the query"));
        };
        if let Err((message, hint)) = type_fits(&definition, argument) {
            return Err(Finding::error(place, format!("`${name}` {message}")).in_document(at).hint(hint));
        }
        declared.insert(name);
    }
    match table.keys().find(|name| !declared.contains(*name)) {
        Some(name) => {
            Err(Finding::error(place, format!("`variables` names `{name}`, which the query doesn't declare"))
                .hint(format!("write `query Name(${name}: String)`")))
        }
        None => Ok(()),
    }
}

fn type_fits(definition: &VariableDefinition, argument: &Argument) -> Result<(), (String, String)> {
    let Some(ty) = definition.ty() else { return Ok(()) };
    let (mut required, mut list) = (false, false);
    let mut ty = Some(ty);
    let mut name = String::new();
    // `[T!]!` at most: an argument is a value or a list of values. The parser has limited the depth.
    while let Some(current) = ty.take() {
        match current {
            Type::NamedType(named) => name = named.name().map(|n| n.text().to_string()).unwrap_or_default(),
            Type::ListType(inner) => {
                if list {
                    return Err(("is a list of lists".to_owned(), "take it out of the query".to_owned()));
                }
                list = true;
                ty = inner.ty();
            }
            Type::NonNullType(inner) => {
                required |= !list;
                name = inner.named_type().and_then(|n| n.name()).map(|n| n.text().to_string()).unwrap_or_default();
                ty = inner.list_type().map(Type::ListType);
            }
        }
    }
    if list != argument.list {
        let (is, hint) = if list { ("a list", "set `list = true`") } else { ("no list", "remove `list`") };
        return Err((format!("is {is} in the query"), hint.to_owned()));
    }
    let fits = match (name.as_str(), &argument.rule) {
        ("Int", Rule::Int(max)) => *max <= i32::MAX as u64,
        ("Int", _) => false,
        ("Boolean", rule) => matches!(rule, Rule::Bool),
        (_, rule) => !matches!(rule, Rule::Int(_) | Rule::Bool),
    };
    if !fits {
        let hint = match name.as_str() {
            "Int" => "use `int<=N` with N up to 2147483647; write a fixed number into the query itself",
            "Boolean" => "use `bool`; write a fixed one into the query itself",
            _ => "use `text<=N`, a pattern or `=value`",
        };
        return Err((format!("has type {name}, which rule `{}` doesn't make", argument.rule), hint.to_owned()));
    }
    let optional = !argument.required && !matches!(argument.rule, Rule::Fixed(_));
    if required && optional && definition.default_value().is_none() {
        return Err(("must be given, but its argument may be left out".to_owned(), "set `required = true`".to_owned()));
    }
    Ok(())
}
