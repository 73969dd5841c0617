//! GraphQL documents, read with the parser that the read-only proof uses, down to what an answer needs: fields, their
//! arguments with the variables put in, and the fields below.

use apollo_parser::Parser;
use apollo_parser::cst::{self, CstNode as _, Definition, Selection};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How deep fragments may nest before a document counts as hostile.
const DEPTH_MAX: usize = 32;

/// One operation of a document, ready to be answered.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// `query`, `mutation` or `subscription`.
    pub(crate) kind: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) fields: Vec<Field>,
}

/// A field that is asked for. Fragments are opened up.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// The alias, or the name.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) arguments: BTreeMap<String, Value>,
    pub(crate) fields: Vec<Field>,
    /// The type condition of the fragment that it stood in.
    pub(crate) on: Option<String>,
}

/// What is wrong with a document or its variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DocumentError(String);

impl Document {
    /// Reads the operation `operation` of a document, or its only one.
    pub(crate) fn parse(
        text: &str,
        operation: Option<&str>,
        variables: &Map<String, Value>,
    ) -> Result<Self, DocumentError> {
        let tree = Parser::new(text).parse();
        if let Some(error) = tree.errors().next() {
            return Err(DocumentError(format!("Parse error: {}", error.message())));
        }
        let document = tree.document();
        let mut fragments = BTreeMap::new();
        let mut operations = Vec::new();
        for definition in document.definitions() {
            match definition {
                Definition::OperationDefinition(definition) => operations.push(definition),
                Definition::FragmentDefinition(definition) => {
                    let name = definition.fragment_name().and_then(|n| n.name()).map(|n| n.text().to_string());
                    fragments.insert(name.unwrap_or_default(), definition);
                }
                _ => return Err(DocumentError("A document may hold operations and fragments only".to_owned())),
            }
        }
        let named = |o: &cst::OperationDefinition| o.name().map(|n| n.text().to_string());
        let chosen = match operation {
            Some(wanted) => operations.iter().find(|o| named(o).as_deref() == Some(wanted)),
            None if operations.len() > 1 => None,
            None => operations.first(),
        };
        let chosen = chosen.ok_or_else(|| {
            DocumentError("An operation name is required, and the document has to have it".to_owned())
        })?;
        let variables = bind(chosen, variables)?;
        let reader = Reader { fragments: &fragments, variables: &variables };
        let fields = reader.fields(chosen.selection_set(), None, 0)?;
        let kind = match chosen.operation_type() {
            Some(kind) if kind.mutation_token().is_some() => "mutation",
            Some(kind) if kind.subscription_token().is_some() => "subscription",
            _ => "query",
        };
        Ok(Self { kind, name: named(chosen), fields })
    }
}

/// The values of the declared variables: given ones, else defaults. A required one has to be there.
fn bind(operation: &cst::OperationDefinition, given: &Map<String, Value>) -> Result<Map<String, Value>, DocumentError> {
    let mut bound = Map::new();
    for declared in operation.variable_definitions().into_iter().flat_map(|d| d.variable_definitions()) {
        let Some(name) = declared.variable().and_then(|v| v.name()).map(|n| n.text().to_string()) else { continue };
        let default = declared.default_value().and_then(|d| d.value()).map(|v| literal(&v, &Map::new()));
        let value = given.get(&name).cloned().or(default).unwrap_or(Value::Null);
        if let Some(cst::Type::NonNullType(ty)) = declared.ty()
            && value.is_null()
        {
            let ty = ty.syntax().text().to_string();
            return Err(DocumentError(format!("Variable ${name} of type {} was provided invalid value", ty.trim())));
        }
        bound.insert(name, value);
    }
    match given.keys().find(|name| !bound.contains_key(*name)) {
        Some(stray) => Err(DocumentError(format!("Variable ${stray} is not declared by the operation"))),
        None => Ok(bound),
    }
}

struct Reader<'a> {
    fragments: &'a BTreeMap<String, cst::FragmentDefinition>,
    variables: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn fields(
        &self,
        set: Option<cst::SelectionSet>,
        on: Option<&str>,
        depth: usize,
    ) -> Result<Vec<Field>, DocumentError> {
        if depth > DEPTH_MAX {
            return Err(DocumentError("The document nests too deep".to_owned()));
        }
        let condition = |c: Option<cst::TypeCondition>| {
            c.and_then(|c| c.named_type()).and_then(|t| t.name()).map(|n| n.text().to_string())
        };
        let mut fields = Vec::new();
        for selection in set.into_iter().flat_map(|s| s.selections()) {
            match selection {
                Selection::Field(field) => fields.push(self.field(&field, on, depth)?),
                Selection::InlineFragment(fragment) => {
                    let on = condition(fragment.type_condition());
                    fields.extend(self.fields(fragment.selection_set(), on.as_deref(), depth + 1)?);
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|n| n.name()).map(|n| n.text().to_string());
                    let name = name.unwrap_or_default();
                    let fragment = self.fragments.get(&name);
                    let fragment =
                        fragment.ok_or_else(|| DocumentError(format!("Fragment {name} was used, but not defined")))?;
                    let on = condition(fragment.type_condition());
                    fields.extend(self.fields(fragment.selection_set(), on.as_deref(), depth + 1)?);
                }
            }
        }
        Ok(fields)
    }

    fn field(&self, field: &cst::Field, on: Option<&str>, depth: usize) -> Result<Field, DocumentError> {
        let name = field.name().map(|n| n.text().to_string()).unwrap_or_default();
        let alias = field.alias().and_then(|a| a.name()).map(|n| n.text().to_string());
        let arguments = field.arguments().into_iter().flat_map(|a| a.arguments()).filter_map(|argument| {
            let value = literal(&argument.value()?, self.variables);
            Some((argument.name()?.text().to_string(), value))
        });
        Ok(Field {
            key: alias.unwrap_or_else(|| name.clone()),
            arguments: arguments.collect(),
            fields: self.fields(field.selection_set(), None, depth + 1)?,
            on: on.map(ToOwned::to_owned),
            name,
        })
    }
}

fn literal(value: &cst::Value, variables: &Map<String, Value>) -> Value {
    match value {
        cst::Value::Variable(variable) => {
            variable.name().and_then(|n| variables.get(n.text().as_str()).cloned()).unwrap_or(Value::Null)
        }
        cst::Value::StringValue(text) => Value::String(String::from(text)),
        cst::Value::EnumValue(name) => Value::String(name.syntax().text().to_string().trim().to_owned()),
        cst::Value::ListValue(list) => list.values().map(|v| literal(&v, variables)).collect(),
        cst::Value::ObjectValue(object) => object
            .object_fields()
            .filter_map(|f| Some((f.name()?.text().to_string(), literal(&f.value()?, variables))))
            .collect::<Map<_, _>>()
            .into(),
        // Numbers, booleans and null are written as JSON writes them.
        other => serde_json::from_str(other.syntax().text().to_string().trim()).unwrap_or(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    fn variables(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn reads_fields_arguments_and_fragments() {
        let text = r#"
            query Members($org: String!, $n: Int = 50, $after: String) {
              o: organization(login: $org) {
                membersWithRole(first: $n, after: $after) { edges { ... on OrganizationMemberEdge { role } ...N } }
              }
            }
            fragment N on OrganizationMemberEdge { node { id } }"#;
        let document = Document::parse(text, None, &variables(json!({"org": "acme"}))).unwrap();
        assert_eq!((document.kind, document.name.as_deref()), ("query", Some("Members")));
        let organization = &document.fields[0];
        assert_eq!((organization.key.as_str(), organization.name.as_str()), ("o", "organization"));
        assert_eq!(organization.arguments["login"], "acme");
        let members = &organization.fields[0];
        assert_eq!((&members.arguments["first"], &members.arguments["after"]), (&json!(50), &Value::Null));
        let names: Vec<_> = members.fields[0].fields.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["role", "node"]);
    }

    #[test]
    fn refuses_what_the_real_server_refuses() {
        let none = Map::new();
        assert!(Document::parse("query {", None, &none).is_err());
        assert!(Document::parse("query A { a } query B { b }", None, &none).is_err());
        assert!(Document::parse("query A { a } query B { b }", Some("B"), &none).is_ok());
        assert!(Document::parse("query($a: Int!) { b(c: $a) }", None, &none).is_err());
        assert!(Document::parse("{ a }", None, &variables(json!({"stray": 1}))).is_err());
        assert!(Document::parse("{ ...F } fragment F on Query { ...F }", None, &none).is_err());
        assert_eq!(Document::parse("mutation { a }", None, &none).unwrap().kind, "mutation");
    }
}
