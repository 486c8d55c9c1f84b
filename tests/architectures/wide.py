"""float64 throughout: what a model's own code does in float32 whatever its type is done in float64 as well."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NARROW = torch.float32


class Wide(TorchFunctionMode):
    """Casts of float64 tensors to float32 (norms, softmax, GPT-J's attention) do nothing in here.

    Such casts round what batching changes in the last digit of float64 to a whole digit of float32, now and then; what
    is left without them is whether two ways of computing are the same way.
    """

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if function is Tensor.float:
                return args[0]
            if function is Tensor.to:
                args = tuple(torch.float64 if arg is NARROW else arg for arg in args)
            if kwargs.get("dtype") is NARROW:
                kwargs["dtype"] = torch.float64
        return function(*args, **kwargs)
