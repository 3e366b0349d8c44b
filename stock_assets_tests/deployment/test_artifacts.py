"""The wheel that is uploaded: from a checkout, and from an installed package without one."""

import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from io import BytesIO
from pathlib import Path

import pytest

from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment import lambda_zip
from stock_assets.deployment.artifacts import build_wheel, pack_installed, settings_text


def files(wheel: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_installed_package_is_packed_to_the_same_wheel(tmp_path: Path) -> None:
    name, built = build_wheel()
    with zipfile.ZipFile(BytesIO(built)) as archive:
        archive.extractall(tmp_path)
    [information] = tmp_path.glob("*.dist-info")
    # What an installer adds.
    for own in ("INSTALLER", "REQUESTED", "direct_url.json"):
        (information / own).write_text("{}")
    record = information / "RECORD"
    record.write_text(record.read_text() + "../../bin/stock-assets,,\nstock_assets/__pycache__/api.pyc,,\n")

    packed_name, packed = pack_installed(PathDistribution(information))
    assert packed_name == name
    expected, found = files(built), files(packed)
    assert {key: value for key, value in found.items() if not key.endswith("RECORD")} == {
        key: value for key, value in expected.items() if not key.endswith("RECORD")
    }
    assert pack_installed(PathDistribution(information))[1] == packed
    assert "stock_assets/_bundled/infra/aws/data.yaml" in found
    assert "stock_assets/_bundled/requirements-server.lock" in found


def test_an_installer_accepts_the_packed_wheel(tmp_path: Path) -> None:
    name, built = build_wheel()
    with zipfile.ZipFile(BytesIO(built)) as archive:
        archive.extractall(tmp_path / "site")
    [information] = (tmp_path / "site").glob("*.dist-info")
    wheel = tmp_path / name
    wheel.write_bytes(pack_installed(PathDistribution(information))[1])
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(tmp_path / "target"), str(wheel)], check=True)
    assert (tmp_path / "target" / "stock_assets" / "api.py").is_file()


def test_settings_are_one_line_each() -> None:
    assert settings_text({"B": "2", "A": "x y"}) == "A=x y\nB=2\n"


def test_wheels_that_cannot_be_downloaded_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(lambda_zip, "_modules", list)
    with pytest.raises(DeploymentFailed, match=r"(?s)needs the wheels of infra/aws/lambda\.lock.*--parameter CodeKey"):
        lambda_zip.build(tmp_path / "function.zip")
