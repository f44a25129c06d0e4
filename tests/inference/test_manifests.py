"""The YAML for a Ray cluster and for KubeRay.

Ray's own schema checks the first. Of the RayJob, Kubernetes' published schema checks the pods strictly, and the tables
below check the rest: they name every key of KubeRay's v1 types that is used, with its kind (ray-operator/apis/ray/v1,
`RayJobSpec`, `RayClusterSpec`, `HeadGroupSpec`, `WorkerGroupSpec`, `AutoscalerOptions`). No API server saw the file.
"""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from medfuse.resources import shipped

OPTIONAL, REQUIRED = False, True
JOB = {
    "entrypoint": (str, OPTIONAL),
    "backoffLimit": (int, OPTIONAL),
    "shutdownAfterJobFinishes": (bool, OPTIONAL),
    "ttlSecondsAfterFinished": (int, OPTIONAL),
    "rayClusterSpec": (dict, OPTIONAL),
}
CLUSTER = {
    "headGroupSpec": (dict, REQUIRED),
    "workerGroupSpecs": (list, OPTIONAL),
    "rayVersion": (str, OPTIONAL),
    "enableInTreeAutoscaling": (bool, OPTIONAL),
    "autoscalerOptions": (dict, OPTIONAL),
}
SCALER = {"upscalingMode": (str, OPTIONAL), "idleTimeoutSeconds": (int, OPTIONAL)}
HEAD = {"rayStartParams": (dict, REQUIRED), "template": (dict, REQUIRED)}
WORKERS = {
    "groupName": (str, REQUIRED),
    "replicas": (int, OPTIONAL),
    "minReplicas": (int, REQUIRED),
    "maxReplicas": (int, REQUIRED),
    **HEAD,
}


def job() -> dict[str, Any]:
    return yaml.safe_load((shipped("configs") / "ray" / "kuberay.yaml").read_text())


def check(given: dict[str, Any], known: dict[str, tuple[type, bool]]) -> None:
    assert set(given) <= set(known)
    assert {key for key, (_, required) in known.items() if required} <= set(given)
    for key, value in given.items():
        assert type(value) is known[key][0], key


def check_pod(template: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
    validate.validate(pod, validate.latest_version(), strict=True)


def test_the_job_is_one_that_kuberay_takes() -> None:
    given = job()
    assert (given["apiVersion"], given["kind"]) == ("ray.io/v1", "RayJob")
    check(given["spec"], JOB)
    cluster = given["spec"]["rayClusterSpec"]
    check(cluster, CLUSTER)
    check(cluster["autoscalerOptions"], SCALER)
    assert cluster["autoscalerOptions"]["upscalingMode"] in ("Default", "Aggressive", "Conservative")
    check(cluster["headGroupSpec"], HEAD)
    for group in cluster["workerGroupSpecs"]:
        check(group, WORKERS)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        check_pod(group["template"])
        assert all(type(value) is str for value in group["rayStartParams"].values())
        assert cluster["rayVersion"] in group["template"]["spec"]["containers"][0]["image"]


def test_the_check_of_pods_is_strict() -> None:
    pytest.importorskip("kubernetes_validate")
    template = job()["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    template["spec"]["containers"][0]["resorces"] = {}
    with pytest.raises(Exception, match="resorces"):
        check_pod(template)


def test_its_command_is_one_that_medfuse_takes_and_fills_the_largest_cluster() -> None:
    from typer.main import get_command

    from medfuse.cli import app

    words = shlex.split(job()["spec"]["entrypoint"])
    assert words[:2] == ["medfuse", "classify"]
    found = get_command(app).commands["classify"].make_context("classify", words[2:]).params  # type: ignore[attr-defined]
    assert found["on"] == "ray"
    group = job()["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    cores = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert found["workers"] == cores * group["maxReplicas"]


def test_the_cluster_is_one_that_ray_takes() -> None:
    pytest.importorskip("ray")
    from ray.autoscaler._private.util import prepare_config, validate_config

    given = yaml.safe_load((shipped("configs") / "ray" / "cluster.yaml").read_text())
    whole = prepare_config(given)
    validate_config(whole)
    assert whole["max_workers"] == len(given["provider"]["worker_ips"])
    with pytest.raises(Exception, match="max_wokers"):
        validate_config({**whole, "max_wokers": 3})
