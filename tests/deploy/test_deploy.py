"""What `deploy/` holds, as far as it can be looked at without a cluster or a container engine.

The chart is rendered by `go_template` and validated against the Kubernetes schemas; the steps of the image are carried
out in an empty folder by `INSTALL=1` (it fetches the packages again); metrics of the dashboard and the alerts exist.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.settings import Settings
from service.telemetry import Metrics
from tests.deploy.go_template import render

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "chart/values.yaml").read_text())


def rendered(**more: Any) -> list[dict[str, Any]]:
    """All objects of the chart."""
    texts = [path.read_text() for path in sorted((DEPLOY / "chart/templates").glob("*.yaml"))]
    return [found for text in texts for found in yaml.safe_load_all(render(text, VALUES | more, "fabric")) if found]


@pytest.mark.parametrize("sealed", ["", "claim"])
def test_the_chart_is_valid_kubernetes(sealed: str) -> None:
    objects = rendered(sealed={"claimName": sealed})
    kinds = {found["kind"] for found in objects}
    assert kinds == {"StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    version = kubernetes_validate.latest_version()
    for found in objects:
        kubernetes_validate.validate(found, version, strict=True)


def test_the_chart_runs_two_closed_replicas_and_sets_what_exists() -> None:
    [stateful] = [found for found in rendered() if found["kind"] == "StatefulSet"]
    pod = stateful["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert stateful["spec"]["replicas"] == 2 and pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    assert {entry["name"].lower() for entry in container["env"]} <= set(Settings.model_fields)


def test_a_word_that_the_renderer_does_not_know_is_refused() -> None:
    for text in ('{{ include "x" . }}', "{{ .Values.a | quote }}", "{{ if .Values.a }}", "{{ end }}"):
        with pytest.raises(ValueError):
            render(text, {"a": 1}, "r")


def test_the_compose_file_reads_and_names_settings_that_exist() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert {"fabric-a", "fabric-b", "neo4j", "redis"} == set(compose["services"])
    for name in ("fabric-a", "fabric-b"):
        service = compose["services"][name]
        assert {variable.lower() for variable in service["environment"]} <= set(Settings.model_fields)
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    for variable in re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()):
        assert variable in (TOP / "docs/deploy.md").read_text()


def test_the_image_copies_what_exists_and_does_not_run_as_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE):
        assert all((TOP / name).exists() for name in line.split()), line
    assert "\nUSER 10001\n" in text and "install.sh" in text


@pytest.mark.skipif(os.environ.get("INSTALL") != "1", reason="INSTALL=1: fetches all packages again")
def test_the_steps_of_the_image_give_a_service_that_starts(tmp_path: Path) -> None:
    subprocess.run([DEPLOY / "install.sh", tmp_path / "fabric"], cwd=TOP, check=True)
    run = [tmp_path / "fabric/bin/python", "-m", "service", "--help"]
    shown = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "run" in shown.stdout


def exist(expressions: list[str]) -> None:
    """Every metric named is one of ours."""
    made = Metrics()
    families = {family.name for family in made.registry.collect()}
    for expression in expressions:
        for name in re.findall(r"\b((?:fabric|process)_\w+)", expression):
            plain = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert name in families or plain in families, name


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    exist([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])
    alerts = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    exist([rule["expr"] for rule in rules])
    for rule in rules:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule)
        assert (TOP / rule["annotations"]["page"]).is_file(), rule


def test_locks_pin_every_package_with_its_hashes() -> None:
    for lock in TOP.glob("requirements*.lock"):
        entries = re.split(r"\n(?=\S)", lock.read_text().strip())
        for entry in entries:
            if not entry.startswith(("#", "-")):
                assert re.match(r"[\w.\[\],-]+==\S+", entry) and "--hash=sha256:" in entry, entry[:80]


def test_every_test_that_the_threat_model_names_exists() -> None:
    text = (TOP / "docs/threats.md").read_text()
    known = {path.name: path.read_text() for path in (TOP / "tests").rglob("test_*.py")}
    for file, test in re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)(?:::(\w+))?`", text):
        assert file in known, file
        assert not test or f"def {test}(" in known[file], test
