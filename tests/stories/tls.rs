//! Agents reach a gateway that speaks TLS alone.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::model::{Reply, model};
use crate::stage::Stage;

#[tokio::test]
async fn agents_work_behind_a_self_signed_certificate_and_their_use_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let environment = [
        ("DOORWARD__GATEWAY__TLS__CERT_FILE", cert_file.to_str().unwrap()),
        ("DOORWARD__GATEWAY__TLS__KEY_FILE", key_file.to_str().unwrap()),
    ];
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let stage = Stage::open_with(&model.uri(), &environment).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "hello there", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "You said: @you: hello there").await;
    stage.human.say(stage.room(), "!usage", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("gpt-5")).await;
    let usage = stage.command(&["usage", "--by", "consumer,model,day", "--json"]).await;
    let usage: serde_json::Value = serde_json::from_slice(&usage.stdout).unwrap();
    assert_eq!((&usage["usage"][0]["model"], &usage["usage"][0]["requests"]), (&"gpt-5".into(), &1.into()), "{usage}");
}
