//! `registration.yaml` at the top of the repository is what it says it is.

use doorward_appservice::Registration;

#[test]
fn the_example_is_a_registration_that_synapse_and_tuwunel_read() {
    let text = include_str!("../../../registration.yaml");
    let registration = Registration::from_yaml(text).unwrap();
    assert_eq!((registration.id.as_str(), registration.sender_localpart.as_str()), ("doorward", "manager"));
    assert!(registration.msc4190 && registration.msc3202 && registration.receive_ephemeral);
    for key in ["io.element.msc4190: true", "org.matrix.msc3202: true", "de.sorunome.msc2409.push_ephemeral: true"] {
        assert!(text.contains(key), "{key}");
    }
    let users: Vec<_> =
        registration.namespaces.users.iter().map(doorward_appservice::registration::Namespace::expression).collect();
    assert_eq!(users, [r"^@manager:example\.org$", r"^@worker-[a-z0-9._=/-]+:example\.org$"]);
}
