"""Where shipped data files live: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Folder of shipped data: 'models' (onnx files and manifests), 'firmware_config' (boards), or 'systemd'."""
    installed = _PACKAGE / "_data" / name
    if installed.is_dir():
        return installed
    in_checkout = {"models": "models/shipped"}.get(name, name)
    return _PACKAGE.parent / in_checkout
