//! The types that a step may emit.

use crate::manifest::Step;
use crate::object::Far;
use std::collections::{BTreeSet, HashMap};

/// The types that one step may emit, made for looking up.
#[derive(Debug, Clone, Default)]
pub struct StepTypes {
    /// Entities first.
    pub(super) types: Vec<ObjectType>,
    /// Places in `types`. Entities and relationships have names of their own.
    pub(super) entities: HashMap<String, usize>,
    pub(super) relationships: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(super) struct ObjectType {
    pub(super) name: String,
    pub(super) is: Is,
}

#[derive(Debug, Clone)]
pub(super) enum Is {
    Entity {
        /// Sorted.
        class: Vec<String>,
        /// Properties that a class of the type demands.
        required: Vec<String>,
    },
    Relationship {
        verb: String,
        /// What every far end of the type is, if the type is a mapped one.
        far: Option<Far>,
    },
}

impl StepTypes {
    /// Takes the types of a step. `required` says which properties a class demands; those that are columns (a leading
    /// `_`, and `displayName`) are always there and are left out.
    #[must_use]
    pub fn new(step: &Step, required: &dyn Fn(&str) -> Vec<String>) -> Self {
        let mut types = Self::default();
        for declared in &step.entities {
            let class: BTreeSet<_> = declared.class.iter().cloned().collect();
            let required: BTreeSet<_> = class.iter().flat_map(|class| required(class)).collect();
            let is_column = |name: &String| name.starts_with('_') || name == "displayName";
            let is = Is::Entity {
                class: class.into_iter().collect(),
                required: required.into_iter().filter(|name| !is_column(name)).collect(),
            };
            types.entities.insert(declared.entity_type.clone(), types.types.len());
            types.types.push(ObjectType { name: declared.entity_type.clone(), is });
        }
        for declared in &step.relationships {
            let (name, verb) = (declared.relationship_type(), declared.verb.clone());
            let far = declared.mapped.as_ref().map(|mapped| Far {
                end: mapped.end,
                object_type: declared.at(mapped.end).to_owned(),
                class: mapped.class.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            });
            types.relationships.insert(name.clone(), types.types.len());
            types.types.push(ObjectType { name, is: Is::Relationship { verb, far } });
        }
        types
    }

    /// How many there are. An [`Object`] has the number of its own.
    #[must_use]
    pub fn count(&self) -> usize {
        self.types.len()
    }

    /// The name of a type.
    #[must_use]
    pub fn name(&self, number: usize) -> &str {
        self.types.get(number).map_or("", |found| &found.name)
    }

    /// An entity, not a relationship.
    #[must_use]
    pub fn is_entity(&self, number: usize) -> bool {
        self.types.get(number).is_some_and(|found| matches!(found.is, Is::Entity { .. }))
    }
}
