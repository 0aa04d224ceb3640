"""Model names: the demo model, a local folder or a model on the hub; never whichever exists."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playground import paths
from playground.data.template import TEMPLATE_FILES
from playground.errors import EnvironmentFault, InputError, PlaygroundError
from playground.events.values import Progress
from playground.models import demo
from playground.runs.folder import ADAPTER_CONFIG, RECORD, WEIGHTS

SAFE_WEIGHTS = "model.safetensors"  # transformers' name; with .index.json the name of an index of several files
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from. `location` is a folder, or the hub id for ``from_pretrained``."""

    kind: Literal["demo", "folder", "hub"]
    name: str
    location: str


def resolve(name: str, progress: Progress) -> Source:
    """Resolve `name`, converting the demo model if necessary.

    ``demo`` (or a ``.gguf`` file with the demo model's sha256), a folder, ``hf:org/name``, or
    ``org/name`` when no such path exists here.

    Raises:
        InputError: If there is no such model.
        EnvironmentFault: If the demo model cannot be prepared.
    """
    if name == "demo":
        return Source("demo", demo.NAME, str(demo.prepare(progress)))
    if name.startswith("hf:"):
        if not _HUB_ID.fullmatch(name[3:]):
            raise InputError(f"{name!r} is not a hub id.", "A hub id looks like hf:Qwen/Qwen3-0.6B-Base.")
        return Source("hub", name[3:], name[3:])
    path = paths.expanded(name)
    if path.suffix == ".gguf" and path.is_file():
        return Source("demo", demo.NAME, str(demo.prepare(progress, path)))
    if path.is_dir():
        return Source("folder", str(path), str(_checked(path)))
    if _HUB_ID.fullmatch(name) and not path.exists():
        return Source("hub", name, name)
    raise InputError(
        f"There is no model {name!r}.",
        "Use 'demo', a folder with config.json and *.safetensors, or a hub id such as hf:Qwen/Qwen3-0.6B-Base.",
    )


def on_this_machine() -> list[str]:
    """Return the models that need no download, as a command takes them: the demo, then those in the hub's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = ["demo"] if demo.is_prepared() or demo.is_installed() else []
    folders = sorted(Path(HF_HUB_CACHE).glob("models--*--*"))
    whole = [f for f in folders if any(f.glob("snapshots/*/config.json")) and any(f.glob("snapshots/*/*.safetensors"))]
    return found + ["hf:" + folder.name.removeprefix("models--").replace("--", "/", 1) for folder in whole]


def _checked(path: Path) -> Path:
    if (path / ADAPTER_CONFIG).is_file():
        raise InputError(f"{path} is an adapter, not a base model.", "Pass it with --adapter.")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json.", "Name the folder that contains the model itself.")
    if not any(path.glob("*.safetensors")):
        raise InputError(
            f"{path} has no *.safetensors file.",
            "Only safetensors weights are read, because other formats can run code; convert the model first.",
        )
    return path


def revision(source: Source) -> str:
    """Return what pins the weights: the hub's commit, the demo's file hash, or a hash of the folder's files."""
    if source.kind == "demo":
        return demo.SHA256
    if source.kind == "hub":
        from huggingface_hub import try_to_load_from_cache

        # The cache keeps each file under snapshots/<commit>/.
        cached = try_to_load_from_cache(source.location, "config.json")
        return Path(cached).parent.name if isinstance(cached, str) else "unknown"
    digest = hashlib.sha256()
    for file in _safetensors(source):  # all of them: records name the digest of earlier versions
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def weight_files(source: Source) -> list[Path]:
    """Return the files of weights on this machine that loading reads; none for a model on the hub that is not fetched.

    A folder may hold the same weights twice, as with Mistral's ``consolidated.safetensors``.
    """
    every = _safetensors(source)
    whole = [file for file in every if file.name == SAFE_WEIGHTS]
    return whole or [file for file in every if file.name in _indexed(file.parent)] or every


def _safetensors(source: Source) -> list[Path]:
    folder = Path(source.location)
    if source.kind == "hub":
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(source.location, "config.json")
        folder = Path(cached).parent if isinstance(cached, str) else folder
    return sorted(folder.glob("*.safetensors"))


def _indexed(folder: Path) -> set[str]:
    """Return the names of the files among which an index divides the weights; none if there is no index."""
    try:
        index = json.loads((folder / f"{SAFE_WEIGHTS}.index.json").read_bytes())
        return {name for name in index["weight_map"].values() if isinstance(name, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def download_adapter(name: str) -> Path:
    """Return the local folder of an adapter on the hub, ``hf:org/name``; only what is read of it is fetched.

    Raises:
        InputError: If there is no such adapter.
        EnvironmentFault: If the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    if not _HUB_ID.fullmatch(name[3:]):
        raise InputError(f"{name!r} is not a hub id.", "A hub id looks like hf:org/name.")
    print(f"from the hub: {name[3:]}", file=sys.stderr)
    wanted = [ADAPTER_CONFIG, WEIGHTS, RECORD, *TEMPLATE_FILES]
    try:
        return Path(snapshot_download(name[3:], allow_patterns=wanted))
    except (OSError, ValueError, RuntimeError) as error:
        raise explain(error, Source("hub", name[3:], name[3:])) from error


def explain(error: Exception, source: Source) -> PlaygroundError:
    """Return the error to show for an `error` that transformers or the hub raised while loading `source`."""
    from huggingface_hub import errors as hub

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    first_line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(item, kinds) for item in chain)

    if source.kind == "hub":
        if among(hub.GatedRepoError):
            return InputError(
                f"{source.name} is gated.",
                "Accept its terms on its hub page, then set HF_TOKEN or run 'hf auth login'.",
            )
        if among(hub.RepositoryNotFoundError):
            return InputError(
                f"There is no model {source.name!r} on the hub, or it is private.",
                "Check the id; for a private model set HF_TOKEN.",
            )
        if among(hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, ConnectionError):
            return EnvironmentFault(
                f"{source.name} is not in the local cache and the hub cannot be reached.",
                "Check the network and HF_HUB_OFFLINE, or use --model demo.",
            )
    return InputError(
        f"{source.name} cannot be loaded: {first_line}",
        "It must be a causal language model that transformers supports, with safetensors weights and a fast tokenizer.",
    )
