"""What Binder does with this repository, step by step, without Docker: the build pack that repo2docker detects, its install commands
in a clean environment over a clean checkout, Jupyter started there, and a chapter executed.

The clean environment starts from the packages that repo2docker puts into every image, taken from PyPI instead of conda-forge.
It takes a minute or two and the network, so `make test` leaves it out: `make binder` runs it.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT
from repo2docker.buildpacks import PythonBuildPack
from repo2docker.buildpacks.conda import CondaBuildPack

BASE = ["jupyterlab==4.*", "notebook==7.*", "jupyter_server==2.*", "ipywidgets==8.*"]  # as in repo2docker's own environment.yml
CHAPTER = "chapters/01_inference.ipynb"


def run(command: list[str] | str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, shell=isinstance(command, str), timeout=600, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is committed, and nothing else: what a Binder would clone."""
    folder = tmp_path_factory.mktemp("binder") / "repo"
    run(["git", "clone", "-q", "--depth", "1", ROOT.as_uri(), str(folder)])
    return folder


@pytest.fixture
def pack(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> PythonBuildPack:
    monkeypatch.chdir(checkout)
    return PythonBuildPack(base_image="buildpack-deps")


def test_repo2docker_sees_a_python_repository_and_knows_its_python(pack: PythonBuildPack) -> None:
    assert pack.detect()
    assert pack.python_version == "3.11" and pack._python_version_source == "runtime"
    assert isinstance(pack, CondaBuildPack) and not pack.separate_kernel_env


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = run([sys.executable, "-c", "import sys; print(sys.version_info[:2])"]).strip()
    if found != "(3, 11)":
        pytest.skip(f"Binder builds with Python 3.11, and this is {found}")
    folder = tmp_path_factory.mktemp("image") / "kernel"
    run([sys.executable, "-m", "venv", str(folder)])
    run([str(folder / "bin" / "pip"), "install", "-q", *BASE])
    return folder


@pytest.fixture
def image(pack: PythonBuildPack, prefix: Path, checkout: Path) -> Iterator[dict[str, str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "SOFT_OPTIMALITY", "JUPYTER"))}
    environment |= {"KERNEL_PYTHON_PREFIX": str(prefix), "NB_PYTHON_PREFIX": str(prefix), "PATH": f"{prefix / 'bin'}:{environment['PATH']}"}
    scripts = [*pack.get_preassemble_scripts(), *pack.get_assemble_scripts()]
    installs = [script for _, script in scripts if "pip install" in script]
    assert len(installs) == 2, scripts
    for script in installs:
        # On a machine of ours the cache may be used; on Binder there is none.
        run(script.replace("--no-cache-dir", "-q"), env=environment, cwd=checkout)
    assert not pack.get_post_build_scripts()
    yield environment


def test_the_image_builds_starts_jupyter_and_executes_a_chapter(image: dict[str, str], prefix: Path, checkout: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    server = subprocess.Popen([str(prefix / "bin" / "jupyter"), "lab", *options], env=image, cwd=checkout, stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents/{CHAPTER}", timeout=5) as answer:
                    chapter = json.load(answer)
                break
            except OSError:
                assert server.poll() is None, "Jupyter ended"
                time.sleep(0.25)
        assert chapter["type"] == "notebook" and "soft_optimality" in json.dumps(chapter["content"])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/lab/tree/{CHAPTER}", timeout=10) as page:  # where the button leads
            assert page.status == 200
    finally:
        server.terminate()
        server.wait(20)
    run([str(prefix / "bin" / "jupyter"), "execute", "--kernel_name=python3", CHAPTER], env=image, cwd=checkout)
    asks = [str(prefix / "bin" / "python"), "-c", "import soft_optimality; print(soft_optimality.__file__)"]
    where = run(asks, env=image, cwd=checkout / "chapters")
    assert str(prefix) in where or str(checkout) in where
