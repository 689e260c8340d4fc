"""A judgement whether reading some objects once more gives the same: everything that their code can see was looked at, is of a known kind, and has
not changed. Whatever is not understood is named; nothing is taken on trust."""

from __future__ import annotations

import builtins
import collections
import dis
import enum
import functools
import hashlib
import io
import logging
import os
import re
import sys
import types
from types import CodeType, FunctionType, ModuleType
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Set, Tuple

from . import rng
from .script import is_users

# Modules whose functions give the same for the same arguments and random numbers.
_KNOWN_MODULES = frozenset(
    """abc array base64 binascii bisect builtins bz2 codecs collections contextlib copy csv dataclasses decimal enum fractions functools glob
    gzip hashlib heapq io itertools json logging lzma math numbers numpy operator os pathlib pickle posixpath ntpath random re statistics
    string struct tarfile textwrap torch torchaudio torchvision tqdm types typing typing_extensions unicodedata warnings zipfile zlib PIL
    cv2 h5py imageio pandas paddle pyarrow safetensors scipy sentencepiece sklearn soundfile tiktoken tokenizers yaml""".split()
)
# Names that give another value in each process or at each call, whatever they belong to.
_UNSTEADY = frozenset("urandom getrandom SystemRandom getpid getppid environ getenv cuda recv import_module".split())
_UNSTEADY_BUILTINS = frozenset("input id hash globals locals vars dir exec eval compile __import__".split())
# Functions and classes that take what the operating system draws, unless they are given a seed.
_SEEDED = frozenset("default_rng RandomState Random SeedSequence MT19937 PCG64 PCG64DXSM Philox SFC64 seed".split())
_SETS = frozenset(["set", "frozenset"])
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, range, slice, type(None), type(Ellipsis), enum.Enum, re.Pattern)
_LIBRARY_FUNCTIONS = (types.BuiltinFunctionType, types.BuiltinMethodType, types.MethodDescriptorType, types.WrapperDescriptorType)
_CONSTRUCTORS = frozenset(["__init__", "__new__", "__post_init__"])
# Entries of a class that are no code which reads data.
_NOT_READ = frozenset(
    """__dict__ __weakref__ __doc__ __module__ __annotations__ __abstractmethods__ _abc_impl __orig_bases__ __parameters__ __slots__
    __repr__ __del__ __firstlineno__ __static_attributes__ __dataclass_params__ __match_args__ set_epoch""".split()
)
_ITS_CLASS = "its class"
#: The names of parts that stand before the names of their attributes.
_TOPS = ("data", "data set", "collate_fn", "worker_init_fn")
_MOST_NODES = 20_000
_DEPTH = 12
_LONG = 2_000
_MOST_ITEMS = 5_000_000
_MOST_BYTES = 16 << 20
_SAMPLES = 4096


class Look:
    """All that some objects hold and that their code sees, as it is when this is made.

    Args:
        parts: The objects, by the names that people know them by.
        ignored: Names of attributes of these objects that somebody else sets.
    """

    def __init__(self, parts: Mapping[str, Any], ignored: FrozenSet[str] = frozenset()) -> None:
        #: The first thing that is not understood, as a clause; None: all of it is.
        self.problem: Optional[str] = None
        #: Random generators that were found, always in the same order.
        self.generators: List[Any] = []
        self._ignored = ignored
        self._tops = {id(part) for part in parts.values()}
        self._marks: Dict[str, Any] = {}
        # Attributes by which generators are seeded.
        self._seeds: Set[str] = set()
        self._seen: Dict[int, str] = {}
        # Keeps what is compared by identity alive.
        self._held: List[Any] = []
        for name, part in parts.items():
            self._walk(part, name, 0)
        for seed in sorted(self._seeds - ignored):
            # A class's own value counts where no object has one, and the most derived class was looked at first.
            found = {name: mark for name, mark in self._marks.items() if name.endswith(f".{seed}")}
            values = [mark for name, mark in found.items() if name.startswith(tuple(parts))] or list(found.values())[:1]
            if not values or ("NoneType", "None") in values:
                self._fail(f"it makes a random generator from `{seed}`, which is not known")

    def changed_since(self, before: Look) -> Optional[str]:
        """Names the first value that is another than in an earlier look."""
        for name, mark in self._marks.items():
            if name not in before._marks or before._marks[name] != mark:
                return _shown(name)
        return next((_shown(name) for name in before._marks if name not in self._marks), None)

    def digest(self) -> str:
        """Returns a text that is the same in another process, if all values are."""
        shown = {name: getattr(mark, "shown", mark) for name, mark in self._marks.items()}
        return hashlib.blake2b(repr(sorted(shown.items())).encode(), digest_size=8).hexdigest()

    def _fail(self, why: str) -> None:
        self.problem = self.problem or why

    def _walk(self, value: Any, name: str, depth: int) -> None:
        if self.problem is not None:
            return
        name = name if name not in self._marks else f"{name} ({len(self._marks)})"
        if isinstance(value, _PLAIN) or _is_token(value):
            self._marks[name] = _mark_of_plain(value)
        elif isinstance(value, os.PathLike):
            self._marks[name] = os.fspath(value)
        elif id(value) in self._seen:
            if isinstance(value, type) and name != _ITS_CLASS:
                self._constructors(value, depth)
            self._marks[name] = ("the same as", self._seen[id(value)])
        elif len(self._seen) > _MOST_NODES or depth > _DEPTH:
            self._fail(f"{_shown(name)} holds too much to be looked at")
        else:
            self._seen[id(value)] = name
            self._held.append(value)
            self._walk_object(value, name, depth)
            if isinstance(value, type) and name != _ITS_CLASS:
                self._constructors(value, depth)

    def _walk_object(self, value: Any, name: str, depth: int) -> None:
        if rng.is_generator(value):
            # It is seeded when a pass begins.
            self.generators.append(value)
            self._marks[name] = "generator"
        elif hasattr(value, "__next__") or isinstance(value, io.IOBase):
            self._fail(f"{_shown(name)} goes on from where it is, and begins again")
        elif _is_array(value):
            self._marks[name] = _mark_of_array(value)
        elif isinstance(value, (set, frozenset)):
            self._fail(f"{_shown(name)} is a set, whose order may be another in each process")
        elif isinstance(value, (list, tuple, dict, collections.deque)):
            self._container(value, name, depth)
        elif isinstance(value, ModuleType):
            self._module(value.__name__, name)
        elif isinstance(value, (FunctionType, types.MethodType, functools.partial, staticmethod, classmethod, property, *_LIBRARY_FUNCTIONS)):
            self._callable(value, name, depth)
        elif isinstance(value, type):
            self._class(value, name, depth)
        else:
            self._instance(value, name, depth)

    def _container(self, value: Any, name: str, depth: int) -> None:
        if len(value) > _LONG:
            items = value.items() if isinstance(value, dict) else value
            kinds = set(map(type, value)) | (set(map(type, value.values())) if isinstance(value, dict) else set())
            if len(value) > _MOST_ITEMS or not all(issubclass(kind, _PLAIN) for kind in kinds):
                self._fail(f"{_shown(name)} holds too much to be looked at")
            else:
                self._marks[name] = _Long(list(items))
            return
        self._marks[name] = (type(value).__name__, len(value))
        for i, (key, item) in enumerate(value.items() if isinstance(value, dict) else enumerate(value)):
            if isinstance(value, dict) and not isinstance(key, (*_PLAIN, tuple)):
                return self._fail(f"{_shown(name)} has keys that are not understood")
            self._marks[f"{name}[{i}]:key"] = repr(key)
            self._walk(item, f"{name}[{key!r}]", depth + 1)

    def _module(self, module: str, name: str) -> None:
        if module.partition(".")[0] not in _KNOWN_MODULES:
            self._fail(f"{_shown(name)} uses {module}, which may give something else each time")

    def _callable(self, value: Any, name: str, depth: int) -> None:
        if isinstance(value, types.MethodType):
            self._walk(value.__self__, f"{name}'s object", depth + 1)
            self._walk(value.__func__, name, depth + 1)
        elif isinstance(value, functools.partial):
            for part, inner in (("func", value.func), ("args", value.args), ("keywords", value.keywords)):
                self._walk(inner, f"{name}.{part}", depth + 1)
        elif isinstance(value, property):
            for accessor in filter(None, (value.fget, value.fset, value.fdel)):
                self._walk(accessor, name, depth + 1)
        elif isinstance(value, (staticmethod, classmethod)):
            self._walk(value.__func__, name, depth + 1)
        elif isinstance(value, FunctionType) and is_users(value.__code__.co_filename):
            self._function(value, name, depth)
        else:
            bound = getattr(value, "__self__", None)
            if bound is not None and not isinstance(bound, (ModuleType, type)):
                self._walk(bound, f"{name}'s object", depth + 1)
            own = getattr(value, "__name__", "")
            if own in _UNSTEADY or (own in _SEEDED and own != name):
                self._fail(f"{_shown(name)} may give something else each time")
            module = getattr(value, "__module__", None) or getattr(getattr(value, "__objclass__", None), "__module__", None) or "builtins"
            self._module(module.lstrip("_"), name)

    def _function(self, function: Any, name: str, depth: int) -> None:
        names: Set[str] = set()
        problem = _read_code(function.__code__, names, self._seeds)
        if problem is not None:
            return self._fail(f"{problem} ({function.__qualname__})")
        for one in sorted(names & function.__globals__.keys()):
            self._walk(function.__globals__[one], one, depth + 1)
        cells = zip(function.__code__.co_freevars, function.__closure__ or ())
        for one, cell in cells:
            try:
                inside = cell.cell_contents
            except ValueError:
                continue
            self._walk(inside, one, depth + 1)
        for inner in (function.__defaults__, function.__kwdefaults__):
            self._walk(inner, f"{name}'s defaults", depth + 1)

    def _class(self, cls: type, name: str, depth: int) -> None:
        if cls.__name__ in _SEEDED and cls.__name__ != name:
            return self._fail(f"{_shown(name)} makes random generators, perhaps without a seed")
        for one in cls.__mro__:
            if not _is_users_class(one):
                self._module(one.__module__.lstrip("_"), one.__name__)
                continue
            for key, value in sorted(vars(one).items()):
                if key not in _NOT_READ and key not in _CONSTRUCTORS:
                    self._walk(value, f"{one.__name__}.{key}", depth + 1)

    def _constructors(self, cls: type, depth: int) -> None:
        """Looks at what makes an object of a class, for code that names the class."""
        for one in filter(_is_users_class, cls.__mro__):
            for key in _CONSTRUCTORS & vars(one).keys():
                self._walk(vars(one)[key], f"{one.__name__}.{key}", depth + 1)

    def _instance(self, value: Any, name: str, depth: int) -> None:
        cls = type(value)
        self._walk(cls, _ITS_CLASS, depth + 1)
        attributes = dict(getattr(value, "__dict__", {}))
        slots = [slot for one in cls.__mro__ for slot in _slots_of(one)]
        attributes.update({slot: getattr(value, slot) for slot in slots if hasattr(value, slot)})
        if not hasattr(value, "__dict__") and not slots:
            return self._fail(f"{_shown(name)} ({cls.__name__}) is not understood")
        if isinstance(value, logging.Logger):
            return
        own = id(value) in self._tops
        for key, item in sorted(attributes.items()):
            if not (own and key in self._ignored):
                self._walk(item, f"{name}.{key}", depth + 1)


def _mark_of_plain(value: Any) -> Any:
    if isinstance(value, (str, bytes)) and len(value) > _LONG:
        data = value.encode(errors="surrogatepass") if isinstance(value, str) else value
        return (type(value).__name__, len(value), hashlib.blake2b(data, digest_size=8).hexdigest())
    return (type(value).__name__, (value.pattern, value.flags) if isinstance(value, re.Pattern) else repr(value))


def _shown(name: str) -> str:
    top, _, rest = name.partition(".")
    return f"`{rest}` of its {top}" if rest and top in _TOPS else f"`{name}`"


class _Long:
    """A long list of plain values: compared item by item here, by its ends elsewhere."""

    def __init__(self, items: List[Any]) -> None:
        self._items = items
        self.shown = (len(items), hashlib.blake2b(repr([*items[:_LONG], *items[-_LONG:]]).encode(), digest_size=8).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Long) and other._items == self._items

    __hash__ = None  # type: ignore[assignment]


class _Array:
    """An array that is too large to be read whole: compared by its identity and version here, by samples elsewhere."""

    def __init__(self, value: Any, shown: Any) -> None:
        self._value, self._version, self.shown = value, getattr(value, "_version", None), shown

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Array) and other._value is self._value and other._version == self._version
        return same and isinstance(other, _Array) and other.shown == self.shown

    __hash__ = None  # type: ignore[assignment]


def _mark_of_array(value: Any) -> Any:
    facts = (str(value.dtype), tuple(value.shape))
    array = _as_array(value)
    if array is None:
        return _Array(value, facts)
    if array.dtype.hasobject:
        return (*facts, hashlib.blake2b(repr(array.tolist()).encode(), digest_size=8).hexdigest())
    if array.nbytes <= _MOST_BYTES:
        return (*facts, hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest())
    some = array.reshape(-1)[:: max(1, array.size // _SAMPLES)] if array.flags.c_contiguous else array[:1]
    return _Array(value, (*facts, hashlib.blake2b(some.tobytes(), digest_size=8).hexdigest()))


def _as_array(value: Any) -> Any:
    """Returns a NumPy array of the same values; None for a tensor on a device, and for one of a type that NumPy has not."""
    numpy = sys.modules["numpy"] if "numpy" in sys.modules else None
    if numpy is None or isinstance(value, (numpy.ndarray, numpy.generic)):
        return numpy.asarray(value) if numpy is not None else None
    try:
        place = getattr(value, "place", None)
        on_processor = place.is_cpu_place() if place is not None else value.device.type == "cpu"
        return value.detach().numpy() if on_processor else None
    except Exception:
        return None


def _read_code(code: CodeType, names: Set[str], seeds: Set[str]) -> Optional[str]:
    """Collects the global names that code reads, and the attributes that it makes random generators from. Returns what makes the code
    unsteady, as a clause."""
    instructions = list(dis.get_instructions(code))
    for i, one in enumerate(instructions):
        name = one.argval if isinstance(one.argval, str) else ""
        if one.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            return f"it sets the global name {name}"
        if one.opname in ("BUILD_SET", "SET_ADD", "SET_UPDATE"):
            return "it makes a set, whose order may be another in each process"
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if name in _SETS and hasattr(builtins, name):
                return "it makes a set, whose order may be another in each process"
            if name in _UNSTEADY_BUILTINS:
                return f"it uses {name}"
            names.add(name)
        loads = one.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_METHOD", "IMPORT"))
        if name in _UNSTEADY and loads:
            return f"it uses {name}"
        if name in _SEEDED and loads and not (name == "seed" and one.opname == "LOAD_ATTR" and not _is_called(one)):
            seed = _seed_given(instructions[i + 1 :])
            if seed is None:
                return f"it calls {name} with a seed that is not known, or without one"
            seeds.update(filter(None, [seed]))
        if one.opname == "IMPORT_NAME" and name.partition(".")[0] not in _KNOWN_MODULES:
            return f"it imports {name}, which may give something else each time"
    for inner in code.co_consts:
        problem = _read_code(inner, names, seeds) if isinstance(inner, CodeType) else None
        if problem is not None:
            return problem
    return None


def _is_called(loaded: dis.Instruction) -> bool:
    """Tells whether an attribute is loaded to be called at once, where one instruction does both."""
    return sys.version_info >= (3, 12) and bool((loaded.arg or 0) & 1)


def _seed_given(following: List[dis.Instruction]) -> Optional[str]:
    """Returns the attribute by which a generator is seeded in the call that follows; "" for numbers; None when nobody knows."""
    some = [one for one in following if one.opname not in ("PUSH_NULL", "PRECALL", "CACHE", "KW_NAMES", "EXTENDED_ARG")]
    end = next((i for i, one in enumerate(some) if one.opname.startswith("CALL")), None)
    given = some[:end] if end is not None else []
    if not given or any(one.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF") for one in given):
        return None
    computes = any(one.opname.startswith(("BINARY_", "BUILD_")) for one in given)
    if computes:
        return ""
    if given[-1].opname == "LOAD_CONST":
        return "" if len(given) == 1 and isinstance(given[-1].argval, (int, str, tuple)) else None
    return str(given[-1].argval) if len(given) == 2 and given[-1].opname == "LOAD_ATTR" else None


def _is_array(value: Any) -> bool:
    for module, kind in (("torch", "Tensor"), ("numpy", "ndarray"), ("numpy", "generic"), ("paddle", "Tensor")):
        made = getattr(sys.modules.get(module), kind, None)
        if made is not None and isinstance(value, made):
            return True
    return False


def _is_token(value: Any) -> bool:
    """Tells values of torch and NumPy that are names: dtypes, devices, layouts."""
    return type(value).__name__ in ("dtype", "device", "layout", "memory_format") or type(value).__module__ == "numpy.dtypes"


def _is_users_class(cls: type) -> bool:
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if cls.__module__ == "__main__":
        return True
    return cls.__module__ not in ("builtins", "typing") and path is not None and is_users(path)


def _slots_of(cls: type) -> Tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return tuple(slot for slot in ((slots,) if isinstance(slots, str) else slots) if slot not in ("__dict__", "__weakref__"))


def set_for_each_epoch(cls: type) -> FrozenSet[str]:
    """Lists the attributes of a class that ``set_epoch`` sets and nothing else changes: the script sets them again after a resume."""
    found: Set[str] = set()
    others: Set[str] = set()
    for one in cls.__mro__:
        for name, function in vars(one).items():
            if name not in _CONSTRUCTORS:
                (found if name == "set_epoch" else others).update(_stored_by(function))
    return frozenset(found - others)


def _stored_by(function: Any) -> List[str]:
    code = getattr(function, "__code__", None)
    return [] if code is None else [str(one.argval) for one in dis.get_instructions(code) if one.opname in ("STORE_ATTR", "DELETE_ATTR")]
