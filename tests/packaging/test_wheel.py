"""The wheel carries every package and the only copy of the configuration, and works away from the checkout."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder


def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_module_under_src_is_in_the_wheel(checkout: Path, wheel: Path) -> None:
    source = checkout / "src"
    expected = {str(file.relative_to(source)) for file in source.rglob("*.py")}
    assert "basis_actors/logs/__init__.py" in expected
    assert expected <= in_wheel(wheel)
    assert "basis_actors/py.typed" in in_wheel(wheel)


def test_style_and_script_of_the_report_are_in_the_wheel(wheel: Path) -> None:
    folder = "basis_actors/results/report"
    assert {f"{folder}/page.css", f"{folder}/page.js"} <= in_wheel(wheel)


def test_the_configuration_is_in_the_wheel_as_it_is_in_the_checkout(checkout: Path, wheel: Path) -> None:
    folder = checkout / "configs"
    with zipfile.ZipFile(wheel) as archive:
        carried = {name: archive.read(name) for name in archive.namelist() if name.startswith("basis_actors/configs/")}
    assert carried == {
        f"basis_actors/configs/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in folder.rglob("*.yaml")
    }


def test_an_editable_install_copies_nothing(checkout: Path, tmp_path: Path) -> None:
    builder = WheelBuilder(str(checkout))
    artifact = next(iter(builder.build(directory=str(tmp_path), versions=["editable"])))
    names = {name for name in in_wheel(Path(artifact)) if ".dist-info/" not in name}
    assert all(name.endswith(".pth") for name in names)


def make_environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def install(python: Path, *what: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *what]
    subprocess.run(command, check=True, capture_output=True, text=True)


def run(python: Path, folder: Path, *arguments: str) -> str:
    """Run the installed command in `folder` with an environment that names nothing of the checkout."""
    command = [str(python.with_name("basis-actors")), *arguments]
    done = subprocess.run(
        command, cwd=folder, env={"HOME": str(folder), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_installed(python: Path, folder: Path, checkout: Path) -> None:
    script = "import basis_actors, basis_actors.config as c; print(basis_actors.__file__); print(c.config_root())"
    done = subprocess.run([str(python), "-I", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    places = [Path(line) for line in done.stdout.split()]
    assert all(place.is_relative_to(python.parents[1]) for place in places), places
    assert not any(place.is_relative_to(checkout) for place in places)
    assert "btc_basis" in run(python, folder, "modes")
    run(python, folder, "config", "check")
    window = ("--start", "2024-01-01", "--end", "2024-01-03")
    run(python, folder, "backtest", "btc_basis", *window, "--out", str(folder / "logs"))


def test_the_installed_wheel_works_elsewhere(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    """The package comes from the wheel; its dependencies are lent by the environment that runs the tests."""
    python = make_environment(tmp_path / "venv")
    install(python, "--no-deps", str(wheel))
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    check_installed(python, tmp_path, checkout)


@pytest.mark.long
def test_the_wheel_works_in_an_empty_environment(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    """As above with nothing lent: the dependencies are installed at the pinned versions."""
    python = make_environment(tmp_path / "venv")
    install(python, "--constraint", str(checkout / "constraints.txt"), str(wheel))
    check_installed(python, tmp_path, checkout)
