"""States of today's PyTorch for tests: tensors of every dtype and layout, and a comparison to the bit."""

from __future__ import annotations

import collections
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np
import torch


def dtypes() -> Iterator[Any]:
    """Lists every dtype of which this torch can allocate a dense tensor."""
    found = {getattr(torch, name) for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)}
    for dtype in sorted(found, key=str):
        try:
            known = hasattr(torch._utils, "_rebuild_tensor_v3") or dtype != torch.complex32
            if known and not torch.empty(1, dtype=dtype).is_quantized:
                yield dtype
        except (RuntimeError, TypeError):
            continue


def noise(dtype: Any, count: int = 24) -> Any:
    """Makes ``count`` elements of a dtype whose bytes are random."""
    generator = torch.Generator().manual_seed(7)
    nbytes = count * torch.empty(0, dtype=dtype).element_size()
    if dtype == torch.bool:
        return torch.randint(0, 2, (count,), generator=generator).bool()
    data = torch.randint(0, 256, (nbytes,), generator=generator, dtype=torch.uint8)
    return data.view(dtype)


def quantized() -> Dict[str, Callable[[], Any]]:
    """Makes quantized tensors by name."""
    values = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    scales, zeros = torch.rand(4) + 0.1, torch.arange(4)
    made: Dict[str, Callable[[], Any]] = {}
    for name in ("quint8", "qint8", "qint32"):
        dtype = getattr(torch, name)
        made[f"{name} of one scale"] = lambda dtype=dtype: torch.quantize_per_tensor(values, 0.05, 3, dtype)
        made[f"{name} of a scale a row"] = lambda dtype=dtype: torch.quantize_per_channel(values, scales, zeros, 0, dtype)
    for name in ("quint4x2", "quint2x4"):
        dtype = getattr(torch, name)
        made[name] = lambda dtype=dtype: torch.quantize_per_channel(values, scales, zeros.float(), 0, dtype)
    made["a transposed one"] = lambda: torch.quantize_per_tensor(values, 0.05, 3, torch.qint8).t()
    return {name: make for name, make in made.items() if _works(make)}


def sparse() -> Dict[str, Callable[[], Any]]:
    """Makes sparse tensors by name."""
    dense = torch.eye(4)
    dense[0, 3] = 2.5
    twice = torch.tensor([[0, 0, 1], [1, 1, 0]])
    made: Dict[str, Callable[[], Any]] = {
        "COO": lambda: dense.to_sparse(),
        "COO, not coalesced": lambda: torch.sparse_coo_tensor(twice, torch.tensor([1.0, 2.0, 3.0]), (2, 2)),
        "COO, hybrid": lambda: torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.randn(2, 3), (4, 3)),
        "COO, empty": lambda: torch.zeros(3, 0).to_sparse(),
        "CSR": lambda: dense.to_sparse_csr(),
        "CSC": lambda: dense.to_sparse_csc(),
        "BSR": lambda: dense.to_sparse_bsr((2, 2)),
        "BSC": lambda: dense.to_sparse_bsc((2, 2)),
    }
    return {name: make for name, make in made.items() if _works(make)}


def nested() -> Dict[str, Callable[[], Any]]:
    """Makes nested tensors by name."""
    parts = [torch.randn(2, 3), torch.randn(4, 3)]
    made: Dict[str, Callable[[], Any]] = {
        "strided": lambda: _with_strides(torch.nested.nested_tensor(parts)),
        "jagged": lambda: torch.nested.nested_tensor(parts, layout=torch.jagged),
        "jagged with holes": lambda: torch.nested.nested_tensor_from_jagged(
            torch.randn(6, 3), offsets=torch.tensor([0, 2, 6]), lengths=torch.tensor([1, 3])
        ),
        "jagged, turned": lambda: torch.nested.nested_tensor(parts, layout=torch.jagged).transpose(1, 2),
    }
    return {name: make for name, make in made.items() if _works(make)}


def same(one: Any, other: Any) -> bool:
    """Tells whether two values have the same class, the same bits, and tensors the same strides."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and _same_tensor(one, other)
    if isinstance(one, (np.ndarray, np.generic)):
        return (
            type(one) is type(other)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and one.tobytes() == other.tobytes()
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    if hasattr(one, "getvalue"):
        return bool(one.getvalue() == other.getvalue() and one.tell() == other.tell())
    return bool(one == other) or (one != one and other != other)


def _same_tensor(one: Any, other: Any) -> bool:
    if (one.dtype, one.layout, one.is_quantized) != (other.dtype, other.layout, other.is_quantized):
        return False
    if str(one.layout) == "torch.jagged" or getattr(one, "is_nested", False):
        return all(same(a, b) for a, b in zip(parts_of(one), parts_of(other)))
    if one.layout != torch.strided:
        return tuple(one.shape) == tuple(other.shape) and all(same(a, b) for a, b in zip(parts_of(one), parts_of(other)))
    if (tuple(one.shape), tuple(one.stride())) != (tuple(other.shape), tuple(other.stride())):
        return False
    if one.is_quantized and not all(same(a, b) for a, b in zip(parts_of(one), parts_of(other))):
        return False
    return raw(one) == raw(other)


def parts_of(tensor: Any) -> Tuple[Any, ...]:
    """Takes apart a tensor that is not dense."""
    if str(tensor.layout) == "torch.jagged":
        return tensor.values(), tensor.offsets(), tensor.lengths(), tensor._ragged_idx
    if tensor.is_quantized:
        if tensor.qscheme() == torch.per_tensor_affine:
            return tensor.q_scale(), tensor.q_zero_point()
        return tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis()
    if getattr(tensor, "is_nested", False):
        return tensor.values(), tensor._nested_tensor_size(), tensor._nested_tensor_strides()
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values(), tensor.is_coalesced()
    by_row = str(tensor.layout) in ("torch.sparse_csr", "torch.sparse_bsr")
    indices = (tensor.crow_indices(), tensor.col_indices()) if by_row else (tensor.ccol_indices(), tensor.row_indices())
    return (*indices, tensor.values())


def raw(tensor: Any) -> bytes:
    """Returns the bytes of a dense or quantized tensor's elements, in the order of its memory."""
    if tensor.is_quantized:
        return bytes(tensor.int_repr().contiguous().numpy().tobytes())
    if tensor.numel() == 0:
        return b""
    size = tensor.element_size()
    whole = torch.empty(0, dtype=torch.uint8)
    whole.set_(tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage().untyped())
    at = torch.arange(whole.numel() // size).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).reshape(-1)
    return bytes(whole[: whole.numel() // size * size].view(-1, size)[at].numpy().tobytes())


def _with_strides(tensor: Any) -> Any:
    tensor._nested_tensor_strides()
    return tensor


def _works(make: Callable[[], Any]) -> bool:
    try:
        make()
        return True
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):
        return False
