"""An adapter that comes as a package: the example of the docs, installed as anybody would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.adapters.delivery import registry
from service.adapters.delivery.webhook import Webhook

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "adapter"
ASKS = """
from service.adapters.delivery.registry import installed
from service.adapters.delivery.shapes import Item, Name, Response
adapter = installed()["crm_notes"]
item = Item("dlv_1", "send", "web", "e-1", "checkout", 0, {}, (Name("crm_id", "c-1"),))
(request,) = adapter.build({"base_url": "https://crm.example"}, [item]).requests
print(request.url, [adapter.interpret(request, Response(s, {}, b""))[0].result for s in (200, 409, 401, 500)])
"""


def test_the_example_installs_and_is_found(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    made = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    if made.returncode and "BackendUnavailable" in made.stderr:
        pytest.skip("setuptools, which builds packages, is not installed here")
    assert made.returncode == 0, made.stderr
    environment = {"PYTHONPATH": f"{target}:{ROOT}", "PATH": ""}
    told = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, env=environment)
    assert told.stdout.strip() == ("https://crm.example/notes ['delivered', 'delivered', 'setup_failed', 'retry']"), (
        told.stderr
    )


class _Entry:
    def __init__(self, name: str, made: object) -> None:
        self.name = name
        self._made = made

    def load(self) -> object:
        """What is registered."""
        return lambda: self._made


@pytest.mark.parametrize("entry", [_Entry("other", object()), _Entry("other", Webhook()), _Entry("webhook", Webhook())])
def test_what_is_no_adapter_or_would_replace_one_is_refused(entry: _Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    with pytest.raises(registry.BadAdapter):
        registry.installed()
