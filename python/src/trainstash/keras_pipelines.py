"""The order in which Keras reads data, as far as it can be known: where it comes from, who draws numbers for it, and whether a
resume can draw them again."""

from __future__ import annotations

import re
import sys
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from . import keras_random

# Operations of TensorFlow whose place nobody can read: their state lies in the kernel.
_HIDDEN_DRAW = re.compile(r"^(Random(?!Dataset)|TruncatedNormal|Multinomial|ParameterizedTruncatedNormal|StatefulUniform|StatefulStandardNormal|StatefulTruncated|StatefulRandom)")
# Steps of a pipeline that read each pass below them once, from the beginning to the end.
_PASSED_ONCE = ("_BatchDataset", "_PrefetchDataset", "_MapDataset", "_ParallelMapDataset", "_ParallelBatchDataset", "_OptionsDataset", "_ModelDataset", "_FilterDataset", "_TensorSliceDataset")
_PYTHON_CODE = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "GeneratorDataset")


class Source(NamedTuple):
    """The source of the batches of a ``fit``."""

    #: "arrays", "tf.data", "PyDataset", "DataLoader", "generator" or the name of Keras' adapter.
    kind: str
    #: The data set itself, where it may have a state; None for arrays.
    dataset: Any
    #: True: each pass over a tf.data pipeline has an order of its own.
    reshuffles: bool
    #: Pairs of a part and why a resume cannot have it.
    problems: List[Tuple[str, str]]
    #: True: a cache holds an order, or numbers, that were drawn in the first pass. It is whole once that pass was read to its end.
    fills_cache: bool = False


def source_of(adapter: Any, backend: str) -> Source:
    """Looks at one of Keras' data adapters, and through it at the data."""
    name = type(adapter).__name__
    if name == "ArrayDataAdapter":
        return Source("arrays", None, False, [])
    if name == "TFDatasetAdapter":
        return of_tensorflow(adapter._dataset)
    if name == "PyDatasetAdapter":
        synchronous = backend != "tensorflow" and adapter.enqueuer is None
        return Source("PyDataset", adapter.py_dataset, False, list(of_py_dataset(adapter.py_dataset, synchronous)))
    if name == "TorchDataLoaderAdapter":
        return Source("DataLoader", adapter._dataloader, False, list(of_loader(adapter._dataloader, backend)))
    if name == "GeneratorDataAdapter":
        return Source("generator", None, False, [("the data's order", "it comes from a Python generator, whose state cannot be read")])
    return Source(name, None, False, [("the data's order", f"Keras reads it with its {name}, which this package does not know")])


def problems_of_validation(data: Any) -> Iterator[Tuple[str, str]]:
    """Looks at ``validation_data`` as the script gave it: its order decides the bits of ``val_loss``."""
    part = "the order of the validation data"
    if data is None or isinstance(data, (tuple, list)):
        return
    if hasattr(data, "element_spec"):
        found = of_tensorflow(data)
        if found.reshuffles:
            yield part, "tf.data shuffles it anew in each epoch"
        yield from ((part, why) for _, why in found.problems)
    elif hasattr(data, "__getitem__") and hasattr(data, "on_epoch_end"):
        yield from ((part, why) for _, why in of_py_dataset(data, synchronous=False))
    elif hasattr(data, "__next__"):
        yield part, "it comes from a Python generator, whose state cannot be read"


def seeds_in(dataset: Any) -> List[List[int]]:
    """Lists the seeds of a tf.data pipeline in order, to compare those of a resume with."""
    found = []
    for one, _ in _walk(dataset):
        if hasattr(one, "_seed") and hasattr(one, "_seed2"):
            found.append([int(one._seed), int(one._seed2)])
    return found


def hidden_draws(model: Any) -> List[str]:
    """Names the operations in a compiled training step of TensorFlow that draw from generators which nobody can read."""
    found: Dict[str, None] = {}
    for function in _functions_of(getattr(model, "train_function", None)):
        for concrete in function._list_all_concrete_functions():
            for kind in _operations(concrete.graph):
                if _HIDDEN_DRAW.match(kind):
                    found[kind] = None
    return list(found)


def seed_arrays(epoch_iterator: Any, seed: int) -> Any:
    """Gives Keras' shuffle of arrays on TensorFlow a seed, which it has none of: TensorFlow draws another order in each
    process then.

    Returns:
        A variable that holds the seed and the epoch; whoever sets the epoch decides the order.
    """
    import tensorflow as tf

    place = tf.Variable([seed & 0x7FFFFFFF, 0], dtype=tf.int32, trainable=False)
    shuffle = tf.random.shuffle

    def shuffle_by_place(values: Any, seed: Any = None, name: Any = None) -> Any:
        # The first value makes each batch of `shuffle="batch"` another one.
        first = tf.cast(tf.reshape(values, [-1])[0], tf.int32)
        stirred = place + tf.stack([first * 7919, 0])
        return tf.random.experimental.stateless_shuffle(values, seed=stirred)

    tf.random.shuffle = shuffle_by_place
    try:
        dataset = epoch_iterator.data_adapter.get_tf_dataset()
    finally:
        tf.random.shuffle = shuffle
    epoch_iterator._distributed_dataset = epoch_iterator._distribute_strategy.experimental_distribute_dataset(dataset)
    epoch_iterator._current_iterator = None
    return place


def needs_seed(adapter: Any, backend: str) -> bool:
    """Tells whether the order of arrays is drawn where nothing can be read or put back."""
    shuffled = type(adapter).__name__ == "ArrayDataAdapter" and bool(adapter._shuffle)
    return shuffled and backend == "tensorflow" and keras_random.tensorflow_seed() is None


# ---- tf.data ----


def of_tensorflow(dataset: Any) -> Source:
    """Looks at a tf.data pipeline, step by step."""
    part = "the data's order"
    problems: List[Tuple[str, str]] = []
    if not hasattr(dataset, "_inputs"):
        return Source("tf.data", dataset, False, [(part, "it is distributed over several devices")])
    steps = list(_walk(dataset))
    cached = {id(each) for one, below in steps if type(one).__name__ == "CacheDataset" for each in below if _is_random(each)}
    fills_cache = bool(cached) and _can_fill_again(steps, cached)
    reshuffles = False
    for one, _ in steps:
        kind = type(one).__name__
        if "Shuffle" in kind or kind == "_RandomDataset":
            if int(getattr(one, "_seed", 0)) == 0 and int(getattr(one, "_seed2", 0)) == 0:
                problems.append((part, "tf.data's shuffle has no seed: give .shuffle(seed=…), or call keras.utils.set_random_seed before it is made"))
            # One below a cache draws the order of the first pass, and no other.
            reshuffles = reshuffles or not (fills_cache and id(one) in cached)
        problems += [(part, why) for why in _of_functions(one)]
        if getattr(one, "_deterministic", None) in (False, "false") and "Parallel" in kind:
            problems.append((part, f"{kind.strip('_')} was told to be not deterministic"))
    if cached and not fills_cache:
        problems.append((part, "tf.data's cache keeps what was drawn in the first epoch; put .cache() before .shuffle() and before random maps"))
    return Source("tf.data", dataset, reshuffles, list(dict.fromkeys(problems)), fills_cache)


def _can_fill_again(steps: List[Tuple[Any, List[Any]]], cached: Set[int]) -> bool:
    """Tells whether the first pass of another process puts the same into the caches: they lie in memory, and nothing above them is random
    or begins a pass over them by itself."""
    import tensorflow as tf

    for one, below in steps:
        is_above = any(id(each) in cached for each in below)
        kind = type(one).__name__
        if kind == "CacheDataset" and is_above:
            name = tf.get_static_value(getattr(one, "_filename", None))
            if name not in (b"", ""):
                return False
        elif is_above and id(one) not in cached and (_is_random(one) or kind not in _PASSED_ONCE):
            return False
    return True


def _walk(dataset: Any) -> Iterator[Tuple[Any, List[Any]]]:
    """Yields each step of a pipeline, and all that lies below it."""
    below = [one for part in dataset._inputs() for one in _walk(part)]
    yield from below
    yield dataset, [one for one, _ in below]


def _of_functions(one: Any) -> Iterator[str]:
    parallel = "Parallel" in type(one).__name__
    for function in one._functions():
        graph = getattr(function.function, "graph", None)
        if graph is None:
            continue
        kinds = set(_operations(graph))
        if kinds & set(_PYTHON_CODE):
            yield "tf.data calls Python code, whose state cannot be read"
        draws = sorted(kind for kind in kinds if _HIDDEN_DRAW.match(kind))
        if draws and parallel:
            yield f"{draws[0]} draws in a parallel map, whose order is by chance; use tf.random.stateless_* there"
        elif draws and _has_unseeded_draw(graph):
            yield f"{draws[0]} in tf.data has no seed"


def _is_random(one: Any) -> bool:
    if "Shuffle" in type(one).__name__:
        return True
    graphs = [getattr(function.function, "graph", None) for function in one._functions()]
    return any(_HIDDEN_DRAW.match(kind) for graph in graphs if graph is not None for kind in _operations(graph))


def _has_unseeded_draw(graph: Any) -> bool:
    for node in _nodes(graph):
        if _HIDDEN_DRAW.match(node.op) and not any(name in node.attr and node.attr[name].i for name in ("seed", "seed2")):
            return True
    return False


def _operations(graph: Any) -> Iterator[str]:
    for node in _nodes(graph):
        yield node.op


def _nodes(graph: Any) -> Iterator[Any]:
    definition = graph.as_graph_def(add_shapes=False)
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _functions_of(value: Any) -> Iterator[Any]:
    """Finds the compiled functions that a training step of Keras is made of."""
    if hasattr(value, "_list_all_concrete_functions"):
        yield value
        return
    for cell in getattr(value, "__closure__", None) or ():
        held = cell.cell_contents
        if hasattr(held, "_list_all_concrete_functions") or callable(held) and hasattr(held, "__closure__"):
            yield from _functions_of(held)


# ---- Python data sets ----


def of_py_dataset(dataset: Any, synchronous: bool) -> Iterator[Tuple[str, str]]:
    """Looks at a PyDataset, and makes one batch on trial. ``synchronous``: its batches are made by the thread that trains."""
    part = "the data's order"
    try:
        count = dataset.num_batches
        drew, changed = _probe(dataset)
    except Exception as error:
        yield part, f"its first batch cannot be looked at ({error})"
        return
    if count is None:
        yield part, "the data set has no end, and its place cannot be set"
    if synchronous:
        return
    if drew:
        yield part, "its __getitem__ draws random numbers in threads of their own; draw them from a generator that is seeded with the index"
    if changed:
        yield part, f"its __getitem__ changes {', '.join(changed[:3])} in threads of their own"


def _probe(dataset: Any) -> Tuple[bool, List[str]]:
    """Makes one batch on trial: whether that draws random numbers, and which attributes it changes. All is put back."""
    from . import keras_objects

    numbers = keras_random.capture()
    before = keras_objects.attributes_of(dataset, (), whole=True)
    dataset[0]
    after = keras_objects.attributes_of(dataset, ())
    drew = keras_random.fingerprint(keras_random.capture()) != keras_random.fingerprint(numbers)
    changed = list(after.changed_since(before).values)
    keras_random.restore(numbers)
    if changed:
        keras_objects.put_back(dataset, before.values, before.arrays)
    return drew, changed


def of_loader(loader: Any, backend: str) -> Iterator[Tuple[str, str]]:
    """Looks at a DataLoader of torch."""
    torch: Any = sys.modules["torch"]
    part = "the data's order"
    if isinstance(loader.dataset, torch.utils.data.IterableDataset):
        yield part, "the data is read as a stream"
        return
    known = (torch.utils.data.RandomSampler, torch.utils.data.SequentialSampler, torch.utils.data.BatchSampler, torch.utils.data.WeightedRandomSampler, torch.utils.data.SubsetRandomSampler)
    for sampler in samplers_of(loader):
        if type(sampler) not in known:
            yield part, f"its sampler is a {type(sampler).__name__}, whose state is not known"
    if backend == "tensorflow" and loader.num_workers == 0:
        numbers = keras_random.capture()
        loader.dataset[0]
        drew = keras_random.fingerprint(keras_random.capture()) != keras_random.fingerprint(numbers)
        keras_random.restore(numbers)
        if drew:
            yield part, "its data set draws random numbers in a thread of its own"


def samplers_of(loader: Any) -> List[Any]:
    """Returns the samplers of a torch DataLoader, outermost first."""
    found = []
    one = getattr(loader, "batch_sampler", None) or getattr(loader, "sampler", None)
    while one is not None and one not in found:
        found.append(one)
        one = getattr(one, "sampler", None)
    return found


def generators_of(source: Source) -> Dict[str, Optional[Any]]:
    """Returns the generator objects that a DataLoader draws from, by where they hang."""
    if source.kind != "DataLoader":
        return {}
    owners = {"loader": source.dataset, **{f"sampler{i}": one for i, one in enumerate(samplers_of(source.dataset))}}
    found = {name: getattr(owner, "generator", None) for name, owner in owners.items()}
    return {name: generator for name, generator in found.items() if generator is not None}
