//! Deployments: what they say of themselves, and how stable gets the canary's pods.

use serde_json::{Map, Value, json};
use serin_contract::PerArm;
use serin_judge::deployments::{Deployment, Deployments};
use std::collections::BTreeSet;

/// Both Deployments for the judge; `kept` are the labels that tell the versions' pods apart.
pub(super) fn seen(
    namespace: &str,
    names: &PerArm<String>,
    objects: &PerArm<Option<Value>>,
    kept: &BTreeSet<String>,
) -> Deployments {
    let arm = |arm| one(&format!("{namespace}/{}", names.get(arm)), objects.get(arm).as_ref());
    let arms = PerArm { stable: arm(serin_contract::Arm::Stable), canary: arm(serin_contract::Arm::Canary) };
    let copied = match (&objects.stable, &objects.canary) {
        (Some(stable), Some(canary)) => Some(&copy(stable, canary, kept)) == stable.pointer("/spec/template"),
        (None, _) | (_, None) => false,
    };
    Deployments { arms, copied }
}

fn one(name: &str, object: Option<&Value>) -> Deployment {
    let number = |pointer: &str| object.and_then(|object| object.pointer(pointer)?.as_u64());
    let wanted = number("/spec/replicas").unwrap_or(1);
    let observed = number("/status/observedGeneration").unwrap_or(0);
    let updated = number("/status/updatedReplicas").unwrap_or(0);
    // Replicas of the old template may linger after the new ones are ready.
    let all = number("/status/replicas").unwrap_or(0);
    Deployment {
        name: name.to_owned(),
        found: object.is_some(),
        wanted,
        ready: number("/status/readyReplicas").unwrap_or(0),
        up_to_date: observed >= number("/metadata/generation").unwrap_or(0)
            && updated >= wanted
            && all <= updated,
    }
}

/// The operations that give stable the canary's pods; none when it has them.
pub(super) fn copy_patch(stable: &Value, canary: &Value, kept: &BTreeSet<String>) -> Option<Value> {
    let template = copy(stable, canary, kept);
    if stable.pointer("/spec/template") == Some(&template) {
        return None;
    }
    Some(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": stable.pointer("/metadata/resourceVersion")},
        {"op": "replace", "path": "/spec/template", "value": template},
    ]))
}

/// The canary's pod template under stable's own labels: those that its selector asks for, which cannot
/// change, and those by which the DestinationRule tells the versions apart.
fn copy(stable: &Value, canary: &Value, kept: &BTreeSet<String>) -> Value {
    let mut template = canary.pointer("/spec/template").cloned().unwrap_or_default();
    let labels = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let own = labels(stable, "/spec/template/metadata/labels");
    let selector = labels(stable, "/spec/selector/matchLabels");
    let mut new: Map<String, Value> = labels(canary, "/spec/template/metadata/labels");
    for key in selector.keys().chain(kept) {
        match own.get(key) {
            Some(value) => new.insert(key.clone(), value.clone()),
            None => new.remove(key),
        };
    }
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".to_owned(), Value::Object(new));
    }
    template
}

/// The label keys of two subsets, over all DestinationRules that define both.
pub(super) fn subset_labels(rules: &[Value], subsets: &PerArm<String>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for rule in rules {
        let list = rule.pointer("/spec/subsets").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let ours = |subset: &&Value| {
            subsets.iter().any(|(_, name)| subset.get("name").and_then(Value::as_str) == Some(name.as_str()))
        };
        for subset in list.iter().filter(ours) {
            let labels = subset.get("labels").and_then(Value::as_object);
            keys.extend(labels.into_iter().flat_map(Map::keys).cloned());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(version: &str, image: &str) -> Value {
        json!({
            "metadata": {"name": version, "generation": 3, "resourceVersion": "7"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "shop", "track": version}},
                "template": {
                    "metadata": {"labels": {"app": "shop", "track": version, "version": version, "build": image}},
                    "spec": {"containers": [{"image": image}]},
                },
            },
            "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2},
        })
    }

    #[test]
    fn stable_gets_the_canarys_pods_under_its_own_labels() {
        let (stable, canary) = (deployment("stable", "shop:1"), deployment("canary", "shop:2"));
        let kept = BTreeSet::from(["version".to_owned()]);
        let patch = copy_patch(&stable, &canary, &kept).expect("a patch");
        assert_eq!(patch.pointer("/0/value"), Some(&json!("7")));
        let template = patch.pointer("/1/value").expect("a template").clone();
        assert_eq!(template.pointer("/spec/containers/0/image"), Some(&json!("shop:2")));
        assert_eq!(
            template.pointer("/metadata/labels"),
            Some(&json!({"app": "shop", "track": "stable", "version": "stable", "build": "shop:2"}))
        );
        let mut copied = stable.clone();
        copied["spec"]["template"] = template;
        assert_eq!(copy_patch(&copied, &canary, &kept), None);
        let names = PerArm { stable: "stable".to_owned(), canary: "canary".to_owned() };
        let objects = PerArm { stable: Some(copied), canary: Some(canary) };
        assert!(seen("n", &names, &objects, &kept).copied);
    }

    #[test]
    fn a_deployment_is_up_to_date_once_its_controller_has_seen_the_template_and_no_old_pod_is_left() {
        let object = deployment("stable", "shop:1");
        assert_eq!(one("n/stable", Some(&object)).unready(), None);
        for (field, value) in [("observedGeneration", 2), ("updatedReplicas", 1), ("replicas", 3)] {
            let mut behind = object.clone();
            behind["status"][field] = json!(value);
            assert!(
                one("n/stable", Some(&behind)).unready().expect(field).contains("rolling out"),
                "{field}"
            );
        }
        assert!(one("n/stable", None).unready().expect("gone").contains("n/stable is not there"));
    }

    #[test]
    fn the_labels_of_both_subsets_tell_the_versions_apart() {
        let rule = json!({"spec": {"subsets": [
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v2", "labels": {"version": "v2", "zone": "a"}},
            {"name": "other", "labels": {"tier": "x"}},
        ]}});
        let subsets = PerArm { stable: "v1".to_owned(), canary: "v2".to_owned() };
        let keys = subset_labels(&[rule, json!({})], &subsets);
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["version", "zone"]);
    }
}
