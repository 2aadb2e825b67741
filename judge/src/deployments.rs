//! What Deployments say of themselves, where a canary names them: whether both are ready, whether the canary
//! has room for a share, and whether stable has taken over the canary's pods.

use serin_contract::{Arm, PerArm, Share};

/// One Deployment at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// `<namespace>/<name>`.
    pub name: String,
    /// Whether it is there at all.
    pub found: bool,
    /// Replicas that it should have.
    pub wanted: u64,
    /// Replicas that are ready.
    pub ready: u64,
    /// Whether all its replicas are of its newest template, and its controller has seen that template.
    pub up_to_date: bool,
}

/// Both Deployments at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployments {
    /// Each version's.
    pub arms: PerArm<Deployment>,
    /// Whether stable's template is the canary's.
    pub copied: bool,
}

impl Deployment {
    /// Why it cannot take part; none when all its replicas are ready.
    pub fn unready(&self) -> Option<String> {
        let Self { name, wanted, ready, .. } = self;
        if !self.found {
            return Some(format!(
                "Deployment {name} is not there: create it, or name another in spec.deployments"
            ));
        }
        if *wanted == 0 {
            return Some(format!("Deployment {name} is scaled to 0: give it replicas"));
        }
        if ready < wanted {
            return Some(format!("Deployment {name}: {ready} of {wanted} replicas are ready"));
        }
        (!self.up_to_date).then(|| format!("Deployment {name} is still rolling out its newest template"))
    }
}

impl Deployments {
    /// Why the release has to wait; none when both are ready.
    pub fn unready(&self) -> Option<String> {
        Arm::ALL.into_iter().find_map(|arm| self.arms.get(arm).unready())
    }

    /// Why the canary cannot carry this share yet: it needs its part of stable's ready replicas, rounded
    /// down, and at least one.
    pub fn shortage(&self, share: Share) -> Option<String> {
        let PerArm { stable, canary } = &self.arms;
        let part = stable.ready.saturating_mul(u64::from(share.basis_points())) / 10_000;
        let needed = part.max(1);
        (canary.ready < needed).then(|| {
            format!(
                "{} of {needed} ready replicas: Deployment {} needs {needed} for {share} beside {} of stable",
                canary.ready, canary.name, stable.ready
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, wanted: u64, ready: u64) -> Deployment {
        Deployment { name: name.to_owned(), found: true, wanted, ready, up_to_date: true }
    }

    fn pair(stable: u64, canary: u64) -> Deployments {
        let arms = PerArm { stable: deployment("a/s", 10, stable), canary: deployment("a/c", 5, canary) };
        Deployments { arms, copied: false }
    }

    #[test]
    fn a_share_needs_its_part_of_stables_ready_replicas_rounded_down_and_at_least_one() {
        let share = |percent| Share::from_percent(percent).expect("a share");
        assert_eq!(pair(10, 1).shortage(share(5.0)), None, "0.5 is rounded down, one is enough");
        assert!(pair(10, 0).shortage(share(5.0)).expect("none is too few").starts_with("0 of 1 ready"));
        assert_eq!(pair(10, 4).shortage(share(45.0)), None);
        assert!(pair(10, 3).shortage(share(45.0)).expect("too few").starts_with("3 of 4 ready"));
        assert_eq!(pair(0, 1).shortage(share(100.0)), None, "stable has nothing to compare with");
    }

    #[test]
    fn a_deployment_is_unready_while_it_lacks_replicas_or_rolls_out_or_is_not_there() {
        assert_eq!(deployment("a/b", 3, 3).unready(), None);
        let told = |deployment: Deployment| deployment.unready().expect("unready");
        assert!(told(deployment("a/b", 3, 2)).contains("2 of 3"));
        assert!(told(deployment("a/b", 0, 0)).contains("scaled to 0"));
        assert!(told(Deployment { up_to_date: false, ..deployment("a/b", 3, 3) }).contains("rolling out"));
        assert!(told(Deployment { found: false, ..deployment("a/b", 1, 0) }).contains("not there"));
        assert!(pair(10, 5).unready().is_none() && pair(9, 5).unready().is_some());
    }
}
