//! The operation that will run, with its variables in place.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use apollo_parser::{Parser, cst};

use super::body::Body;
use super::input::Input;
use super::{GraphqlRefused, MAX_DEPTH, MAX_FIELDS};

/// The parser counts several steps for a level of braces; that these are few is checked before.
const MAX_RECURSION: usize = MAX_DEPTH * 4;

/// What an operation is. Subscriptions are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationKind {
    Query,
    Mutation,
}

/// The operation that will run, and all fragments.
pub(super) struct Document {
    pub(super) kind: OperationKind,
    pub(super) selections: Vec<Selection>,
    fragments: HashMap<String, Vec<Selection>>,
    /// How many fields, fragments and values may still be visited, so that they cannot multiply without end.
    left: Cell<usize>,
}

pub(super) enum Selection {
    Field(Field),
    Spread(String),
    /// Its type condition is dropped: what might be selected counts.
    Inline(Vec<Self>),
}

pub(super) struct Field {
    /// Not the alias: that is only a name in the answer.
    pub(super) name: String,
    /// Each name once.
    pub(super) arguments: Vec<(String, Rc<Input>)>,
    /// `None` for a scalar, which GitHub's schema makes sure of: an object without a selection is an error there.
    pub(super) selections: Option<Vec<Selection>>,
}

impl Field {
    pub(super) fn argument(&self, name: &str) -> &Input {
        self.arguments.iter().find(|(key, _)| key == name).map_or(&Input::Absent, |(_, value)| value)
    }

    /// The argument that has to be a string.
    pub(super) fn text(&self, name: &str) -> Result<&str, GraphqlRefused> {
        self.argument(name).text().ok_or_else(|| self.bad_argument(name))
    }

    /// Refuses arguments that are not in the list.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), GraphqlRefused> {
        match self.arguments.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(self.bad_argument(name)),
            None => Ok(()),
        }
    }

    pub(super) fn bad_argument(&self, name: &str) -> GraphqlRefused {
        GraphqlRefused::Argument { field: self.name.clone(), argument: name.to_owned() }
    }

    /// What is asked below; nothing for a scalar.
    pub(super) fn below(&self) -> &[Selection] {
        self.selections.as_deref().unwrap_or_default()
    }
}

impl Document {
    /// Parses the text and chooses the operation. [`super::text::check`] has to have passed.
    pub(super) fn parse(body: &Body) -> Result<Self, GraphqlRefused> {
        let tree = Parser::new(&body.query).recursion_limit(MAX_RECURSION).parse();
        if let Some(error) = tree.errors().next() {
            return Err(GraphqlRefused::Text(error.message().to_owned()));
        }
        let (mut operations, mut fragments) = (Vec::new(), Vec::new());
        for definition in tree.document().definitions() {
            match definition {
                cst::Definition::OperationDefinition(operation) => operations.push(operation),
                cst::Definition::FragmentDefinition(fragment) => fragments.push(fragment),
                _ => return Err(GraphqlRefused::Operation("a request holds operations and fragments only")),
            }
        }
        let operation = chosen(&operations, body.operation.as_deref())?;
        let reader = Reader { variables: variables(&operation, body)? };
        Ok(Self {
            kind: kind(&operation)?,
            selections: reader.selections(operation.selection_set())?,
            fragments: reader.fragments(fragments)?,
            left: Cell::new(MAX_FIELDS),
        })
    }

    /// The fields of one level, with the fragments in place. `depth` counts the levels above, from 0.
    pub(super) fn fields<'a>(
        &'a self,
        selections: &'a [Selection],
        depth: usize,
    ) -> Result<Vec<&'a Field>, GraphqlRefused> {
        if depth > MAX_DEPTH {
            return Err(GraphqlRefused::TooDeep);
        }
        let (mut found, mut within, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        self.flatten(selections, &mut within, &mut seen, &mut found)?;
        Ok(found)
    }

    /// Counts what is visited, however often a fragment or a variable is used.
    pub(super) fn spend(&self, count: usize) -> Result<(), GraphqlRefused> {
        let left = self.left.get().checked_sub(count).ok_or(GraphqlRefused::TooMany)?;
        self.left.set(left);
        Ok(())
    }

    fn flatten<'a>(
        &'a self,
        selections: &'a [Selection],
        within: &mut Vec<&'a str>,
        seen: &mut HashSet<&'a str>,
        found: &mut Vec<&'a Field>,
    ) -> Result<(), GraphqlRefused> {
        self.spend(selections.len())?;
        for selection in selections {
            match selection {
                Selection::Field(field) => found.push(field),
                Selection::Inline(selections) => self.flatten(selections, within, seen, found)?,
                Selection::Spread(name) => {
                    let missing = || GraphqlRefused::Fragment(name.clone());
                    let selections = self.fragments.get(name).ok_or_else(missing)?;
                    if within.contains(&name.as_str()) || within.len() >= MAX_DEPTH {
                        return Err(missing());
                    }
                    // A second spread on the same level adds nothing.
                    if seen.insert(name) {
                        within.push(name);
                        self.flatten(selections, within, seen, found)?;
                        within.pop();
                    }
                }
            }
        }
        Ok(())
    }
}

/// The operation that GitHub will run: the only one, or the named one.
fn chosen(
    operations: &[cst::OperationDefinition],
    name: Option<&str>,
) -> Result<cst::OperationDefinition, GraphqlRefused> {
    let name_of = |operation: &cst::OperationDefinition| operation.name().map(|name| name.text().to_string());
    let mut fitting = operations.iter().filter(|operation| name.is_none() || name_of(operation).as_deref() == name);
    match (fitting.next(), fitting.next()) {
        (Some(operation), None) => Ok(operation.clone()),
        (None, _) => Err(GraphqlRefused::Operation("the request holds no operation of that name")),
        (Some(_), Some(_)) => Err(GraphqlRefused::Operation("which of the operations is to run is not clear")),
    }
}

fn kind(operation: &cst::OperationDefinition) -> Result<OperationKind, GraphqlRefused> {
    let Some(kind) = operation.operation_type() else { return Ok(OperationKind::Query) };
    if kind.query_token().is_some() {
        Ok(OperationKind::Query)
    } else if kind.mutation_token().is_some() {
        Ok(OperationKind::Mutation)
    } else {
        Err(GraphqlRefused::Operation("subscriptions are not taken"))
    }
}

/// The values of the declared variables: from the body, else the default.
fn variables(operation: &cst::OperationDefinition, body: &Body) -> Result<HashMap<String, Rc<Input>>, GraphqlRefused> {
    let mut values = HashMap::new();
    // A default holds no variables.
    let reader = Reader { variables: HashMap::new() };
    let definitions = operation.variable_definitions().into_iter().flat_map(|all| all.variable_definitions());
    for definition in definitions {
        let name =
            definition.variable().and_then(|variable| variable.name()).ok_or_else(incomplete)?.text().to_string();
        let default = definition.default_value().and_then(|default| default.value());
        let value = match (body.variables.get(&name), default) {
            (Some(given), _) => Rc::clone(given),
            (None, Some(default)) => reader.input(default)?,
            (None, None) => Rc::new(Input::Absent),
        };
        if values.insert(name, value).is_some() {
            return Err(GraphqlRefused::Text("a variable is declared twice".to_owned()));
        }
    }
    Ok(values)
}

/// Turns the parser's tree into ours.
struct Reader {
    variables: HashMap<String, Rc<Input>>,
}

/// The parser reported no error, yet a part is missing.
fn incomplete() -> GraphqlRefused {
    GraphqlRefused::Text("it is not complete".to_owned())
}

fn named(name: Option<cst::Name>) -> Result<String, GraphqlRefused> {
    Ok(name.ok_or_else(incomplete)?.text().to_string())
}

impl Reader {
    fn fragments(
        &self,
        definitions: Vec<cst::FragmentDefinition>,
    ) -> Result<HashMap<String, Vec<Selection>>, GraphqlRefused> {
        let mut fragments = HashMap::new();
        for definition in definitions {
            let name = named(definition.fragment_name().and_then(|name| name.name()))?;
            let selections = self.selections(definition.selection_set())?;
            if fragments.insert(name, selections).is_some() {
                return Err(GraphqlRefused::Text("a fragment is defined twice".to_owned()));
            }
        }
        Ok(fragments)
    }

    fn selections(&self, set: Option<cst::SelectionSet>) -> Result<Vec<Selection>, GraphqlRefused> {
        set.ok_or_else(incomplete)?.selections().map(|selection| self.selection(selection)).collect()
    }

    fn selection(&self, selection: cst::Selection) -> Result<Selection, GraphqlRefused> {
        Ok(match selection {
            cst::Selection::Field(field) => Selection::Field(self.field(&field)?),
            cst::Selection::FragmentSpread(spread) => {
                Selection::Spread(named(spread.fragment_name().and_then(|name| name.name()))?)
            }
            cst::Selection::InlineFragment(inline) => Selection::Inline(self.selections(inline.selection_set())?),
        })
    }

    fn field(&self, field: &cst::Field) -> Result<Field, GraphqlRefused> {
        let mut arguments = Vec::new();
        for argument in field.arguments().into_iter().flat_map(|all| all.arguments()) {
            arguments.push((named(argument.name())?, self.input(argument.value().ok_or_else(incomplete)?)?));
        }
        each_once(&arguments)?;
        let selections = field.selection_set().map(|set| self.selections(Some(set))).transpose()?;
        Ok(Field { name: named(field.name())?, arguments, selections })
    }

    fn input(&self, value: cst::Value) -> Result<Rc<Input>, GraphqlRefused> {
        Ok(Rc::new(match value {
            cst::Value::Variable(variable) => {
                let found = self.variables.get(&named(variable.name())?);
                return Ok(found.map_or_else(|| Rc::new(Input::Undeclared), Rc::clone));
            }
            cst::Value::StringValue(text) => Input::Text(String::from(&text)),
            cst::Value::EnumValue(word) => Input::Text(word.text().to_string()),
            cst::Value::IntValue(number) => Input::Number(number.int_token().ok_or_else(incomplete)?.text().to_owned()),
            cst::Value::FloatValue(number) => {
                Input::Number(number.float_token().ok_or_else(incomplete)?.text().to_owned())
            }
            cst::Value::BooleanValue(value) => Input::Bool(value.true_token().is_some()),
            cst::Value::NullValue(_) => Input::Null,
            cst::Value::ListValue(list) => {
                Input::List(list.values().map(|value| self.input(value)).collect::<Result<_, _>>()?)
            }
            cst::Value::ObjectValue(object) => self.object(&object)?,
        }))
    }

    fn object(&self, object: &cst::ObjectValue) -> Result<Input, GraphqlRefused> {
        let mut fields = Vec::new();
        for field in object.object_fields() {
            fields.push((named(field.name())?, self.input(field.value().ok_or_else(incomplete)?)?));
        }
        each_once(&fields)?;
        Ok(Input::Object(fields))
    }
}

/// Two parsers may choose differently between two equal keys.
fn each_once(fields: &[(String, Rc<Input>)]) -> Result<(), GraphqlRefused> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.get(1)) {
        return Err(GraphqlRefused::Text("an argument or a key is given twice".to_owned()));
    }
    Ok(())
}
