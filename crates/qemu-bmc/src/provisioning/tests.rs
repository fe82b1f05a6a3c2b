use std::collections::HashMap;

use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMynvJssym441qVAJFG9Wv00YV78SKMSNHslWVzpyftO me";

fn made(hostname: Option<&str>, keys: Option<SshKeys>) -> CloudInitPlan {
    CloudInitPlan {
        user_data: None,
        meta_data: MetaDataPlan::Made { hostname: hostname.map(Into::into), keys },
        network_config: None,
        vendor_data: None,
    }
}

fn read(plan: &CloudInitPlan, files: &[(&str, &str)]) -> Result<Seed, String> {
    let files: HashMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
    let read = |path: &Path| {
        let text = files.get(path).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(text.as_bytes().to_vec())
    };
    Seed::read(plan, "node1", &read)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn meta_data(seed: &Seed) -> Value {
    serde_json::from_slice(&seed.meta_data.file(&seed.instance(Uuid::from_u128(7)))).unwrap()
}

#[test]
fn without_any_file_there_is_a_name_and_a_key() {
    let keys = PublicKey::all(KEY).unwrap();
    let seed = read(&made(None, Some(SshKeys::Text(keys))), &[]).unwrap();
    let found = meta_data(&seed);
    assert_eq!((&found["local-hostname"], &found["public-keys"]), (&"node1".into(), &Value::from(vec![KEY])));
    assert_eq!(seed.to_string(), "hostname node1, ssh-ed25519 me");
    assert!(user_data::check(&seed.user_data).is_ok());
}

#[test]
fn an_instance_is_the_same_until_something_changes() {
    let name = |plan: &CloudInitPlan, files: &[(&str, &str)]| {
        let found = meta_data(&read(plan, files).unwrap());
        found["instance-id"].as_str().unwrap().to_owned()
    };
    let node = Uuid::from_u128(7).to_string();
    let first = name(&made(Some("a"), None), &[]);
    assert!(first.starts_with(&node) && first.len() == node.len() + 9, "{first}");
    assert_eq!(first, name(&made(Some("a"), None), &[]));
    assert_ne!(first, name(&made(Some("b"), None), &[]));
    let plan = CloudInitPlan { user_data: Some("/u".into()), ..made(Some("a"), None) };
    let with = |text| name(&plan, &[("/u", text)]);
    assert_eq!(with("#cloud-config\n{}\n"), first);
    assert_ne!(with("#cloud-config\n"), first);
}

#[test]
fn meta_data_that_says_its_instance_is_left_as_it_is() {
    let plan = CloudInitPlan { meta_data: MetaDataPlan::File("/m".into()), ..made(None, None) };
    let text = "# mine\ninstance-id: i-1\n";
    let seed = read(&plan, &[("/m", text)]).unwrap();
    assert_eq!(seed.meta_data.file("other"), text.as_bytes());
    let found = meta_data(&read(&plan, &[("/m", "local-hostname: mine\n")]).unwrap());
    assert_eq!(found["local-hostname"], "mine");
    assert!(found["instance-id"].as_str().unwrap().starts_with(&Uuid::from_u128(7).to_string()));
    assert!(meta_data(&read(&plan, &[("/m", "")]).unwrap())["instance-id"].is_string());
}

#[test]
fn every_problem_names_its_file() {
    let plan = CloudInitPlan {
        user_data: Some("/u".into()),
        meta_data: MetaDataPlan::Made { hostname: None, keys: Some(SshKeys::File("/k".into())) },
        network_config: Some("/n".into()),
        vendor_data: Some("/v".into()),
    };
    let files = [("/u", "#cloud-config\na: [b\n"), ("/k", "no key"), ("/n", "version: 3\n")];
    let Err(problems) = read(&plan, &files) else { panic!("it was accepted") };
    let lines: Vec<_> = problems.lines().collect();
    assert_eq!(lines.len(), 4, "{problems}");
    assert!(lines[0].starts_with("/u: line "), "{problems}");
    assert!(lines[1].starts_with("/k: line 1: "), "{problems}");
    assert!(lines[2].starts_with("/n: it does not begin with version: 1"), "{problems}");
    assert!(lines[3].starts_with("/v: cannot read it: "), "{problems}");
}

#[test]
fn network_configurations_have_a_version() {
    for (text, told) in [
        ("version: 1\nconfig: []\n", "version 1"),
        ("version: 2\nethernets: {}\n", "version 2"),
        ("network:\n  version: 2\n", "version 2"),
        ("network: {config: disabled}\n", "disabled"),
    ] {
        assert_eq!(network_config(text.as_bytes()), Ok(told), "{text}");
    }
    for text in ["", "version: 1\n", "ethernets: {}\n", "version: two\n", "- version: 2\n", "a: [\n"] {
        assert!(network_config(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn hosts_have_names_of_letters_digits_and_hyphens() {
    for name in ["a", "node-1", "node1.example.org", "9"] {
        assert!(is_hostname(name), "{name}");
    }
    for name in ["", "a.", ".a", "-a", "a-", "a_b", "a b", "ä", &"a".repeat(64), &"a.".repeat(200)] {
        assert!(!is_hostname(name), "{name}");
    }
}
