//! Names and images of containers, as the runtimes of root keep them on disk. What users keep is theirs to write, and is
//! not believed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

/// Most bytes of a file of a runtime.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most containers whose files are read.
const MAX_CONTAINERS: usize = 1000;

/// What is known of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Image and name: `nginx:1.27 (web)`.
    pub(super) name: String,
    /// Digest or id of the image.
    pub(super) digest: Option<String>,
}

/// What is known, by the container's id.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Known>);

impl Names {
    pub(super) fn get(&self, id: &str) -> Option<&Known> {
        self.0.get(id)
    }

    /// Reads what Docker, podman of root and containerd keep. A file in another form tells nothing; a container then
    /// goes by its command.
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Names, Unobservable> {
        let mut names = Names::default();
        names.each(
            observation,
            "/var/lib/docker/containers",
            "config.v2.json",
            docker,
        )?;
        names.each(
            observation,
            "/run/containerd/io.containerd.runtime.v2.task/k8s.io",
            "config.json",
            kubernetes,
        )?;
        let podman = "/var/lib/containers/storage/overlay-containers/containers.json";
        if let Some(bytes) = observation.bytes(podman, MAX_BYTES)?
            && let Ok(Value::Array(list)) = serde_json::from_slice(&bytes)
        {
            for container in &list {
                if let (Some(id), Some(known)) = (text(container, &["id"]), of_podman(container)) {
                    names.0.insert(id.to_owned(), known);
                }
            }
        }
        Ok(names)
    }

    fn each(
        &mut self,
        observation: &mut Observation<'_>,
        directory: &str,
        file: &str,
        parse: fn(&Value) -> Option<Known>,
    ) -> Result<(), Unobservable> {
        let entries = observation.list(directory)?.unwrap_or_default();
        let directories = entries
            .iter()
            .filter(|entry| entry.kind == FileKind::Directory);
        for entry in directories.take(MAX_CONTAINERS) {
            let path = format!("{directory}/{}/{file}", entry.name);
            match observation.host().read(&path, MAX_BYTES) {
                Ok(bytes) => {
                    let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                    if let Some(known) = parse(&value) {
                        self.0.insert(entry.name.clone(), known);
                    }
                }
                Err(HostError::NotFound(_) | HostError::TooLarge(..)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn text<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    path.iter()
        .try_fold(value, |value, name| value.get(name))?
        .as_str()
}

fn known(image: Option<&str>, name: Option<&str>, digest: Option<&str>) -> Option<Known> {
    let name = match (image, name.map(|name| name.trim_start_matches('/'))) {
        (Some(image), Some(name)) => format!("{image} ({name})"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => return None,
    };
    Some(Known {
        name,
        digest: digest.map(str::to_owned),
    })
}

fn docker(value: &Value) -> Option<Known> {
    known(
        text(value, &["Config", "Image"]),
        text(value, &["Name"]),
        text(value, &["Image"]),
    )
}

fn kubernetes(value: &Value) -> Option<Known> {
    let annotation = |name: &str| value.get("annotations")?.get(name)?.as_str();
    known(
        annotation("io.kubernetes.cri.image-name"),
        annotation("io.kubernetes.cri.container-name"),
        None,
    )
}

fn of_podman(value: &Value) -> Option<Known> {
    let metadata: Value = text(value, &["metadata"])
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    let name = value
        .get("names")
        .and_then(Value::as_array)
        .and_then(|names| names.first()?.as_str());
    let digest = text(value, &["image"]).map(|id| format!("sha256:{id}"));
    known(text(&metadata, &["image-name"]), name, digest.as_deref())
}
