"""`make FOLDER` writes checkpoints to export. `read FILE…` prints the contents of exported files as JSON; for tensors type, shape and SHA-256."""
import hashlib, json, os, pickle, struct, sys

import numpy as np


def make(folder):
    import torch
    import torch.nn as nn

    os.chdir(folder)
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 300), nn.Linear(300, 36, bias=False))
    net[4].weight = nn.Parameter(net[3].weight.t().contiguous())
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 2, 5, 5)).sum().backward(); optimizer.step()
    state = net.state_dict()
    tied = {"embed.weight": torch.randn(50, 8)}
    tied["head.weight"] = tied["embed.weight"]
    torch.save({"model": state, "optimizer": optimizer.state_dict(), "epoch": 3}, "plain_epoch_3.pt")
    torch.save({"pytorch-lightning_version": "2.0", "epoch": 1, "state_dict": {"model." + k: v for k, v in state.items()}}, "lightning.ckpt")
    torch.save({"model." + k: v for k, v in state.items()}, "flat.pt")
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in state.items():
        size = tensor.numel() * tensor.element_size()
        kind = {"torch.float32": "F32", "torch.int64": "I64"}[str(tensor.dtype)]
        header["model." + name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open("flat.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(tensor.numpy().tobytes() for tensor in state.values()))
    odd = {
        **tied, "turned": torch.arange(12.0).reshape(3, 4).t(), "sliced": torch.arange(20.0)[3:17:2],
        "image": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last), "scalar": torch.tensor(2.5),
        "brain": torch.randn(7, 5).bfloat16(), "half": torch.randn(3).half(), "count": torch.tensor(5), "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3), "double": torch.randn(4).double(), "größe/ü": torch.ones(2), "large": torch.randn(300_000),
    }
    for rank in range(2): torch.save({"w": torch.full((3,), float(rank))}, f"rank{rank}.pt")
    torch.save({"a.b": torch.ones(2), "a": {"b": torch.zeros(2)}}, "twice.pt")
    torch.save({"_orig_mod.w": torch.ones(2), "w": torch.zeros(2)}, "compiled.pt")
    torch.save(odd, "odd.pt")
    torch.save({**odd, "large": odd["large"] + 1}, "odd2.pt")
    torch.save({"w": torch.ones(2), "z": torch.zeros(2, dtype=torch.complex128)}, "complex.pt")
    with open("names.json", "w") as file:
        everything = {"plain": state, "odd": odd}
        json.dump({part: {k: described(t) for k, t in tensors.items()} for part, tensors in everything.items()}, file)


def described(value):
    """Returns the bytes of a torch or NumPy array, row by row; bfloat16 by its bits."""
    if not isinstance(value, np.ndarray):
        import torch
        kind = str(value.dtype).replace("torch.", "")
        value = value.contiguous()
        array = value.view(torch.int16).numpy() if kind == "bfloat16" else value.numpy()
    else:
        array, kind = np.ascontiguousarray(value), str(value.dtype)
    return [kind, list(value.shape), hashlib.sha256(array.tobytes()).hexdigest()]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def events(data):
    """Returns [step, wall time, {tag: value}] of each record; checks both of its checksums."""
    def masked(part):
        crc = crc32c(part)
        return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    def fields(message):
        at = 0
        while at < len(message):
            key, at = varint(message, at)
            kind = key & 7
            if kind == 0: value, at = varint(message, at)
            elif kind == 1: value, at = struct.unpack_from("<d", message, at)[0], at + 8
            elif kind == 5: value, at = struct.unpack_from("<f", message, at)[0], at + 4
            else:
                length, at = varint(message, at)
                value, at = message[at : at + length], at + length
            yield key >> 3, value

    def varint(message, at):
        result = shift = 0
        while True:
            byte = message[at]; at += 1
            result |= (byte & 127) << shift; shift += 7
            if byte < 128: return result, at

    found, at = [], 0
    while at < len(data):
        head = data[at : at + 8]
        (length,) = struct.unpack("<Q", head)
        assert struct.unpack_from("<I", data, at + 8)[0] == masked(head)
        body = data[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body)
        event = dict(fields(body))
        values = {}
        for number, value in fields(event.get(5, b"")):
            one = dict(fields(value))
            values[one[1].decode()] = one[2]
        found.append([event.get(2, 0), event[1], values, event.get(3, b"").decode()])
        at += 16 + length
    return found


def read(path):
    if path.endswith(".pt"):
        import torch
        state = torch.load(path, weights_only=True)
        storages = {}
        for name, tensor in state.items(): storages.setdefault(tensor.storage().data_ptr(), []).append(name)
        return {"tensors": {k: described(t) for k, t in state.items()}, "class": type(state).__name__,
                "tied": [names for names in storages.values() if len(names) > 1 and state[names[0]].numel()]}
    if path.endswith(".npz"):
        with np.load(path, allow_pickle=False) as archive: return {"tensors": {k: described(archive[k]) for k in archive.files}}
    if path.endswith(".pdparams"):
        with open(path, "rb") as file: state = pickle.load(file)
        names = state.pop("StructuredToParameterName@@")
        assert list(names) == list(state) and all(isinstance(value, np.ndarray) for value in state.values())
        return {"tensors": {k: described(v) for k, v in state.items()}}
    if path.endswith(".safetensors"):
        data = open(path, "rb").read()
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        metadata, end, tensors = header.pop("__metadata__"), 0, {}
        kinds = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "BOOL": "bool"}
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            start, stop = entry["data_offsets"]
            assert start == end
            end = stop
            part = data[8 + length + start : 8 + length + stop]
            tensors[name] = [kinds[entry["dtype"]], entry["shape"], hashlib.sha256(part).hexdigest()]
        assert 8 + length + end == len(data)
        return {"tensors": tensors, "metadata": metadata}
    if path.endswith(".onnx"):
        import onnx
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        return {"operators": [node.op_type for node in model.graph.node], "inputs": [one.name for one in model.graph.input]}
    return {"events": events(open(path, "rb").read())}


if sys.argv[1] == "make": make(sys.argv[2])
else: json.dump({os.path.basename(path): read(path) for path in sys.argv[2:]}, sys.stdout)
