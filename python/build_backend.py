"""Builds the wheel with the standard library alone, so that `pip install` of this folder needs no network (PEP 517)."""

import base64
import hashlib
import os
import zipfile

NAME, TAG = "trainstash", "py3-none-any"
# The rules that the daemon reads, too: in the repository they lie with it, in an unpacked build in the package.
RULES = "rules"
HERE = os.path.dirname(os.path.abspath(__file__))


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Returns the name of the file that was written into ``wheel_directory``."""
    version = read_version()
    info = f"{NAME}-{version}.dist-info"
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    metadata = (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n"
        "Summary: Keeps every checkpoint of a training and resumes it bit for bit.\n"
        f"License: MIT\nRequires-Python: >=3.9\nDescription-Content-Type: text/markdown\n\n{readme}"
    )
    files = {f"{NAME}/{name}": content(name) for name in sorted(os.listdir(os.path.join(HERE, "src", NAME))) if wanted(name)}
    files.update(rules())
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: {TAG}\n".encode()
    record = "".join(f"{path},sha256={digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = f"{NAME}-{version}-{TAG}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            # A date of its own, so that equal sources give equal wheels.
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return wheel


def wanted(name):
    return name.endswith(".py") or name == "py.typed"


def content(name):
    with open(os.path.join(HERE, "src", NAME, name), "rb") as file:
        return file.read()


def rules():
    for folder in (os.path.join(HERE, "src", NAME, RULES), os.path.join(HERE, "..", "protocol", RULES)):
        if os.path.isdir(folder):
            found = {}
            for name in sorted(os.listdir(folder)):
                with open(os.path.join(folder, name), "rb") as file:
                    found[f"{NAME}/{RULES}/{name}"] = file.read()
            return found
    raise FileNotFoundError(f"{RULES} is neither in the package nor in ../protocol")


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def read_version():
    for line in content("__init__.py").decode().splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise ValueError("the package has no version")
