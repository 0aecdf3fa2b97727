"""The variables worth keeping as evidence, with secrets removed by name and by shape."""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIXES = (
    "PYTHON", "VIRTUAL_ENV", "CONDA_", "PYENV_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DATASETS_", "TORCH",
    "PYTORCH_", "CUDA_", "NVIDIA_", "NCCL_", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "XLA_", "JAX_", "TF_", "WANDB_",
    "ACCELERATE_", "LIGHTNING_", "PL_", "SLURM_", "TOKENIZERS_", "UV_", "PIP_",
)  # fmt: skip
NAMES = frozenset({
    "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "RANK", "LOCAL_RANK",
    "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PATH", "XDG_CACHE_HOME", "TMPDIR",
})  # fmt: skip
SECRET_NAME = re.compile(r"(?i)(^|_)(token|key|secret|passw(or)?d|pwd|credentials?|auth|cookie|session|private)(_|$)|apikey")
SECRET_SHAPE = re.compile(
    r"hf_[A-Za-z0-9]{10,}|sk-[A-Za-z0-9_-]{10,}|gh[pousr]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|AKIA[0-9A-Z]{12,}"
    r"|xox[abprs]-[\w-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}"
    # Long runs of hexadecimal or base64 digits that are no part of a path.
    r"|(?<![/\w.-])[0-9a-fA-F]{32,}(?![/\w.-])|(?<![/\w.-])[A-Za-z0-9+]{40,}={0,2}(?![/\w.-])"
)
URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
HIDDEN = "[redacted]"
VALUE_LIMIT = 2000


def redact(text: str) -> str:
    """Remove what looks like a secret from `text`."""
    return SECRET_SHAPE.sub(HIDDEN, URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text))


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that decide how Python and the training stack behave, without their secrets."""
    kept = {}
    for name in sorted(environ):
        if name in NAMES or name.startswith(PREFIXES):
            value = environ[name][:VALUE_LIMIT]
            kept[name] = HIDDEN if SECRET_NAME.search(name) and value else redact(value)
    return kept
