"""From a name to a model: one of the lab's own, a folder, a GGUF file, or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from core.errors import UserError
from core.models.anatomy import anatomy_of
from core.models.chat import chat_frame
from core.models.checkpoint import check_causal, check_finite, check_report, check_words, culprit, wrong_file
from core.models.gguf import Say, converted, gguf_file
from core.models.language_model import LanguageModel
from core.names import SHIPPED
from core.paths import ASSETS, default_home

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
SPOKEN = (OSError, ValueError, ImportError)  # whose texts transformers writes for people
DEVICES = ("cpu", "cuda", "mps")


def load_model(
    reference: str,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    assets: Path = ASSETS,
    chat: bool = False,
    home: Path | None = None,
    say: Say = lambda line: None,
) -> LanguageModel:
    """Load a causal language model and its tokenizer.

    `reference` is "pocket" (the embedded model), "smollm2" (if its package is installed), a folder written by
    `save_pretrained`, a GGUF file or a folder with one, or a hub id such as "openai-community/gpt2-xl". A GGUF is
    converted once, into `home` (default: the lab's), and `say` is told (`core.models.gguf`). `device` "auto" takes a
    GPU if there is one; `dtype` "auto" is float32 on a CPU and bfloat16 (float16 if the GPU has no bfloat16) on a GPU.
    Missing files of a folder are never downloaded, and a repository's own code is run only with `trust_remote_code`.
    With `chat` every prompt is a user's message in the tokenizer's chat template, and answers begin the assistant's
    turn.

    Raises `UserError` if the reference, the device or the type is wrong, or if the checkpoint is incomplete, not
    finite, not causal or does not match its tokenizer (`core.models.checkpoint`).
    """
    place = resolve_device(device)
    kind = resolve_dtype(dtype, place)
    if (file := gguf_file(reference, assets)) is not None:
        folder, quantised = converted(file, home or default_home().expanduser(), kind, say)
        path, local = str(folder), True
    else:
        (path, local), quantised = resolve_reference(reference, assets), ""
    options: dict[str, Any] = {"local_files_only": local, "trust_remote_code": trust_remote_code}
    reading = "config.json"
    try:
        config = AutoConfig.from_pretrained(path, **options)
        if config.is_encoder_decoder:
            what = f"{reference} ({config.model_type}) is an encoder and a decoder"
            raise UserError(f"{what}. Give a causal language model, such as GPT-2 or Llama.")
        reading = "the tokenizer's files"
        tokenizer = AutoTokenizer.from_pretrained(path, **options)
        reading = "the weights with config.json"
        placement: dict[str, Any] = {} if place.type == "cpu" else {"device_map": {"": place}}
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            config=config,
            dtype=kind,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported, and refused below by name
            **placement,
            **options,
        )
        model, report = loaded
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever transformers, tokenizers, safetensors and pickle raise for files they get
        raise UserError(explain(reference, Path(path) if local else None, error, reading)) from error
    notes = check_report(reference, report) + ([f"The model {reference}: {quantised}."] if quantised else [])
    check_finite(reference, model)
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"The tokenizer of {reference} ({type(tokenizer).__name__}) reports no character offsets, so the subject's"
            " last token cannot be found. Save it once as a fast tokenizer (tokenizer.json)."
        )
    check_words(reference, model, tokenizer)
    model.eval().requires_grad_(False)
    check_causal(reference, model)
    frame = chat_frame(tokenizer, reference) if chat else None
    return LanguageModel(model, tokenizer, anatomy_of(model), reference, frame, notes)


def resolve_reference(reference: str, assets: Path) -> tuple[str, bool]:
    """(the reference for transformers, whether it is a local folder)."""
    own = reference in SHIPPED
    folder = assets / reference / "model" if own else Path(reference).expanduser()
    if folder.is_dir() and reference.strip():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"The folder {folder} holds no model: it has no config.json. Give a folder written by save_pretrained,"
                " or one with a GGUF file."
            )
        return str(folder), True
    if reference == "pocket":
        raise UserError(f"The embedded model is not at {folder}. Build it with: python -m core pocket train")
    if own:
        raise UserError(f"This lab comes without {reference}: there is no model at {folder}. Name another one.")
    looks_like_path = reference.startswith((".", "/", "~")) or reference.count("/") > 1 or not reference.strip()
    if looks_like_path or folder.exists():
        raise UserError(
            f"There is no model folder at {reference!r}. Give an existing folder, a GGUF file, a hub id such as"
            ' "openai-community/gpt2", or "pocket".'
        )
    return reference, False


def resolve_device(device: str) -> torch.device:
    """The device by its name; "auto" is the first GPU, else the CPU."""
    if device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"There is no device {device!r}: use auto, cpu, cuda or cuda:<number>.") from error
    if place.type not in DEVICES or place.type == "cpu" and place.index:
        raise UserError(f"There is no device {device!r} here: use auto, cpu, cuda or cuda:<number>, or mps on a Mac.")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise UserError('The device \'mps\' is a Mac\'s, and this machine has none. Use "auto" or "cpu".')
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"The device {device!r} was asked for, but this machine has {torch.cuda.device_count()} GPUs"
            ' that PyTorch can use. Use "auto" or "cpu".'
        )
    return torch.device("cuda", place.index or 0) if place.type == "cuda" else place


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The floating-point type by its name; see `load_model` for "auto"."""
    if dtype != "auto":
        if dtype not in DTYPES:
            raise UserError(f"There is no type {dtype!r}: use auto, {', '.join(DTYPES)}.")
        return DTYPES[dtype]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def explain(reference: str, folder: Path | None, error: Exception, reading: str = "the model") -> str:
    """A one-line message for an error that transformers raised while it was `reading` something. `folder` is the
    model's, if it is a local one."""
    message = " ".join(str(error).split())
    low = message.lower()
    why = (folder and culprit(folder)) or wrong_file(error)
    if why is None and not isinstance(error, SPOKEN):
        why = f"{reading} cannot be made sense of; take all files of the model from one place"
    if folder is not None:
        why = why or message[:300]
        return f"The folder of {reference!r} could not be loaded as a causal language model: {why}"
    if why:
        return f"The model {reference!r} could not be loaded: {why}"
    if "gated" in low or "restricted" in low or "401" in low and "private" not in low:
        return (
            f"The model {reference!r} asks for permission: accept its terms on its hub page and log in with"
            " `hf auth login`."
        )
    if "unrecognized configuration class" in low or "unrecognized model" in low:
        return f"{reference!r} is not a causal language model that transformers knows: {message[:200]}"
    if "trust_remote_code" in low:
        return f"{reference!r} brings its own code, which is not run unless trust_remote_code is set."
    if "couldn't connect" in low or "offline" in low or "connection" in low:
        return (
            f"{reference!r} is no folder here and the hub cannot be reached. Check the network, or give a folder"
            ' or "pocket".'
        )
    if "not a valid model identifier" in low or "not a local folder" in low or "404" in low:
        return f'There is no model {reference!r}: it is neither a folder here nor a model on the hub, nor "pocket".'
    return f"The model {reference!r} could not be loaded: {message[:300]}"
