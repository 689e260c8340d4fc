"""The functions that the pickle of a checkpoint may call. Each bears the name of torch's own and checks what that one trusts."""

from __future__ import annotations

import codecs
import functools
import pickle
from typing import Any, Callable, Dict, Tuple

# A storage as a file refers to it: the name of its dtype, and its bytes as a flat uint8 tensor.
_Stored = Tuple[str, Any]

_BITS = {"quint4x2": 4, "quint2x4": 2}
_LAYOUTS = ("sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")


def _dense(stored: _Stored, offset: int, size: Any, stride: Any, *_: Any) -> Any:
    import torch

    return _view(stored[1], getattr(torch, stored[0]), offset, size, stride)


def _dense_of_dtype(stored: _Stored, offset: int, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any) -> Any:
    return _view(stored[1], dtype, offset, size, stride)


def _view(data: Any, dtype: Any, offset: int, size: Any, stride: Any) -> Any:
    element = _element_size(dtype)
    rest = data.numel() % element
    whole = data[: data.numel() - rest] if rest else data
    # Every element must lie inside: `as_strided` checks that.
    return whole.view(dtype).as_strided(tuple(size), tuple(stride), offset)


@functools.lru_cache(maxsize=None)
def _element_size(dtype: Any) -> int:
    import torch

    return int(torch.empty(0, dtype=dtype).element_size())


def _quantized(stored: _Stored, offset: int, size: Any, stride: Any, quantizer: Any, *_: Any) -> Any:
    import torch

    name, data = stored
    dtype = getattr(torch, name)
    scheme, scales, zeros = quantizer[:3]
    size, stride = tuple(size), tuple(stride)
    _check_bounds(data, name, offset, size, stride)
    if scheme == torch.per_tensor_affine:
        tensor = torch._empty_affine_quantized(size, scale=scales, zero_point=zeros, dtype=dtype)
    else:
        tensor = torch._empty_per_channel_affine_quantized(size, scales=scales, zero_points=zeros, axis=quantizer[3], dtype=dtype)
    # Grows the storage where two elements share a byte; torch does so too.
    tensor.set_(_typed(data, dtype), offset, size, stride)
    return tensor


def _check_bounds(data: Any, name: str, offset: int, size: Tuple[int, ...], stride: Tuple[int, ...]) -> None:
    import torch

    bits = _BITS.get(name) or 8 * torch.empty(0, dtype=getattr(torch, name)).element_size()
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if all(size) else -1
    if offset < 0 or len(size) != len(stride) or min((*size, *stride, 0)) < 0 or (last + 1) * bits > 8 * data.numel():
        raise pickle.UnpicklingError("a quantized tensor does not lie inside its storage")


def _typed(data: Any, dtype: Any) -> Any:
    import torch

    if hasattr(data, "untyped_storage"):
        return data.untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=data.storage().untyped(), dtype=dtype)


def _sparse(layout: Any, parts: Any) -> Any:
    import torch

    modern = {} if torch.__version__.startswith("1.") else {"check_invariants": True}
    if layout == torch.sparse_coo:
        indices, values, size = parts[:3]
        coalesced = bool(parts[3]) if len(parts) > 3 else False
        if modern:
            return torch.sparse_coo_tensor(indices, values, tuple(size), is_coalesced=coalesced, **modern)
        return torch.sparse_coo_tensor(indices, values, tuple(size))._coalesced_(coalesced)
    compressed, plain, values, size = parts
    return torch.sparse_compressed_tensor(compressed, plain, values, tuple(size), layout=layout, **modern)


def _nested(buffer: Any, sizes: Any, strides: Any, offsets: Any) -> Any:
    import torch

    starts = offsets.tolist() if hasattr(offsets, "tolist") else list(offsets)
    for size, stride, start in zip(sizes.tolist(), strides.tolist(), starts):
        # Raises when the element does not lie inside.
        buffer.as_strided(size, stride, start)
    if len(starts) != len(sizes) or sizes.shape != strides.shape or buffer.dim() != 1:
        raise pickle.UnpicklingError("a nested tensor does not fit together")
    return torch._nested_view_from_buffer(buffer, sizes, strides, offsets)


def _layout(name: str) -> Any:
    import torch

    plain = str(name).rpartition(".")[2]
    if plain not in _LAYOUTS:
        raise pickle.UnpicklingError(f"there is no layout {plain}")
    return getattr(torch, plain)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are not written as {encoding}")
    return codecs.encode(text, "latin1")


#: The functions by module and name, as they stand in the file.
FUNCTIONS: Dict[Tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _dense,
    ("torch._utils", "_rebuild_tensor_v3"): _dense_of_dtype,
    ("torch._utils", "_rebuild_qtensor"): _quantized,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
    ("torch._utils", "_rebuild_nested_tensor"): _nested,
    ("torch.serialization", "_get_layout"): _layout,
    ("_codecs", "encode"): _encode,
}
