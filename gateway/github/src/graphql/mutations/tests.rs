use super::table::TABLE;
use super::{Mutation, Use};
use crate::effect::Verb;
use crate::graphql::{GraphqlRefused, GraphqlRequest, Need, NodeUse, read};

/// Reads the mutation with this node's id in this field of its input.
fn ask(mutation: &Mutation, field: &str, id: &str) -> Result<GraphqlRequest, GraphqlRefused> {
    let query = format!("mutation($input: X!) {{ {}(input: $input) {{ clientMutationId }} }}", mutation.name);
    let body = serde_json::json!({ "query": query, "variables": { "input": input(mutation, field, id) } });
    read(body.to_string().as_bytes())
}

/// Input with every node that the table lists, so that nothing is missing, and this field.
fn input(mutation: &Mutation, field: &str, id: &str) -> serde_json::Value {
    let mut input: serde_json::Map<_, _> =
        mutation.nodes.iter().map(|(name, _)| ((*name).to_owned(), format!("N_{name}").into())).collect();
    let given = [
        ("repositoryId", "R_1".into()),
        ("refId", "F_1".into()),
        ("base", "main".into()),
        ("name", "refs/heads/x".into()),
        ("branch", serde_json::json!({ "id": "F_1" })),
        ("refUpdates", serde_json::json!([{ "name": "refs/heads/x", "afterOid": "1" }])),
    ];
    for (name, value) in given {
        // A branch that is linked to an issue has a short name.
        if mutation.others.contains(&name) && mutation.name != "createLinkedBranch" {
            input.insert(name.to_owned(), value);
        }
    }
    input.insert(field.to_owned(), id.into());
    input.into()
}

#[test]
fn every_node_of_every_row_counts() {
    for mutation in TABLE {
        for (field, what) in mutation.nodes {
            let need = match what {
                Use::Does(verb) => Need::Does(*verb),
                Use::Converses => Need::Converses,
            };
            let found = ask(mutation, field, "Z_1").unwrap();
            let expected = NodeUse { id: "Z_1".to_owned(), need };
            assert!(found.nodes.contains(&expected), "{} {field}: {found:?}", mutation.name);
        }
    }
}

#[test]
fn every_row_writes_somewhere_and_takes_no_other_field() {
    for mutation in TABLE {
        let found = ask(mutation, "clientMutationId", "c").unwrap();
        let writes = found.nodes.iter().any(|node| node.need != Need::Does(Verb::Read));
        assert!(writes, "{}: {found:?}", mutation.name);
        let unknown = ask(mutation, "somethingId", "Z_1");
        assert!(matches!(unknown, Err(GraphqlRefused::Argument { .. })), "{}: {unknown:?}", mutation.name);
    }
}

#[test]
fn every_row_is_refused_without_input() {
    for mutation in TABLE {
        let query = format!("mutation {{ {}(input: {{}}) {{ clientMutationId }} }}", mutation.name);
        let body = serde_json::json!({ "query": query }).to_string();
        assert!(matches!(read(body.as_bytes()), Err(GraphqlRefused::Argument { .. })), "{}", mutation.name);
    }
}

#[test]
fn no_row_stands_twice_and_no_field_of_another_node_passes_as_harmless() {
    let accounts = ["assigneeIds", "actorIds", "userIds", "teamIds", "botIds", "issueTypeId", "externalId"];
    let read_elsewhere = ["repositoryId", "refId"];
    for (at, mutation) in TABLE.iter().enumerate() {
        assert!(TABLE[..at].iter().all(|earlier| earlier.name != mutation.name), "{}", mutation.name);
        for field in mutation.others {
            let names_nodes = field.ends_with("Id") || field.ends_with("Ids") || *field == "id";
            let known = accounts.contains(field) || read_elsewhere.contains(field);
            assert!(!names_nodes || known, "{} {field}", mutation.name);
        }
    }
}
