"""An adapter that comes as a package: the example of the docs, installed as anybody would."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
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


def wheel_of(folder: Path, where: Path) -> Path:
    """A wheel of the example, as its pyproject.toml says; made here, since no build backend need be installed."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in found.items())
        for group, found in project["entry-points"].items()
    )
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    files = {
        "crm_notes.py": (folder / "crm_notes.py").read_text(),
        f"{stem}.dist-info/METADATA": metadata,
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": points,
    }
    files[f"{stem}.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    made = where / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made


def test_the_example_installs_and_is_found(tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target)]
    made = subprocess.run([*pip, str(wheel_of(EXAMPLE, tmp_path))], capture_output=True, text=True)
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
