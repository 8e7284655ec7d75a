//! What cargo knows about the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::shell::Run;

/// The workspace, as `cargo metadata` tells it.
pub(crate) struct Workspace {
    /// Where the root `Cargo.toml` is.
    pub(crate) root: PathBuf,
    /// Where builds go.
    pub(crate) target: PathBuf,
    /// The members, in order of their names.
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Without `default`, in order of their names.
    pub(crate) features: Vec<String>,
    pub(crate) has_default: bool,
    /// The declared oldest compiler.
    pub(crate) rust_version: Option<String>,
    targets: Vec<(String, String)>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// Cargo failed, or its answer has another shape.
    pub(crate) fn load() -> Result<Self> {
        let text = Run::cargo()
            .args(["metadata", "--format-version=1", "--no-deps"])
            .quiet()
            .output()
            .context("cannot read the workspace")?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(text)?;
        let path = |key: &str| {
            let path = metadata[key].as_str();
            path.map(PathBuf::from).with_context(|| format!("cargo metadata has no {key}"))
        };
        let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
        let mut members = packages.iter().map(Member::parse).collect::<Result<Vec<_>>>()?;
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")?, members })
    }

    /// The member called `name`.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Where the unoptimised build of the program `name` is.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name).with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// A path of the source tree.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

impl Member {
    fn parse(package: &Value) -> Result<Self> {
        let name = package["name"].as_str().context("a package without a name")?.to_owned();
        let features = package["features"].as_object().context("a package without features")?;
        let mut names: Vec<_> = features.keys().filter(|key| *key != "default").cloned().collect();
        names.sort();
        let targets = package["targets"].as_array().into_iter().flatten();
        let targets = targets.filter_map(|target| {
            Some((target["kind"][0].as_str()?.to_owned(), target["name"].as_str()?.to_owned()))
        });
        Ok(Self {
            name,
            features: names,
            has_default: features.contains_key("default"),
            rust_version: package["rust_version"].as_str().map(str::to_owned),
            targets: targets.collect(),
        })
    }

    /// The names of its targets of `kind`: `bin`, `bench`, `example`, `lib`, `test` ….
    pub(crate) fn targets<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.targets.iter().filter(move |(k, _)| k == kind).map(|(_, name)| name.as_str())
    }

    /// Whether it has the target `name` of `kind`.
    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.targets(kind).any(|target| target == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_targets_come_from_cargo_and_default_is_no_feature_of_its_own() {
        let text = r#"{"workspace_root":"/r","target_directory":"/t","packages":[
            {"name":"b","features":{"default":["x"],"x":[],"a":["dep:z"]},"rust_version":"1.88",
             "targets":[{"kind":["lib"],"name":"b"},{"kind":["bin"],"name":"tool"}]},
            {"name":"a","features":{},"rust_version":null,"targets":[]}]}"#;
        let workspace = Workspace::parse(text).unwrap();
        assert_eq!(workspace.members[0].name, "a");
        let b = workspace.member("b").unwrap();
        assert_eq!(b.features, ["a", "x"]);
        assert!(b.has_default && b.has("bin", "tool") && !b.has("bin", "b"));
        assert_eq!(workspace.path("fuzz"), Path::new("/r/fuzz"));
        assert!(workspace.binary("tool").starts_with("/t/debug"));
    }
}
