"""ELMo once more, slow and obvious: NumPy in float64, one word, one character and one step at a time.

It reads the published hdf5 file itself and shares no line with the package, so that the two can be compared.
"""

import json
from pathlib import Path

import h5py
import numpy as np


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """Every array of an hdf5 file by its full name."""
    arrays = {}

    def take(key: str, found: object) -> None:
        if isinstance(found, h5py.Dataset):
            arrays[key] = found[...]

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return arrays


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def character_ids(word: str) -> list[int]:
    """The 50 ids of a word, before 1 is added to each: bytes, and the marks from 256 on."""
    marks = {"<S>": [256], "</S>": [257]}
    inner = marks.get(word, list(word.encode("utf-8", "ignore"))[:48])
    ids = [258, *inner, 259]
    return ids + [260] * (50 - len(ids))


def write_random_model(folder: Path, *, seed: int = 0, rows: int = 261, highways: int = 2, layers: int = 2) -> None:
    """Write a small model with random weights in the published format: ``weights.hdf5`` and ``options.json``.

    Padding has a vector like any other character, and cells and outputs are clipped often.
    """
    generator = np.random.default_rng(seed)
    filters, width, cell_width = [(1, 3), (2, 4), (5, 6)], 6, 10
    features = sum(number for _, number in filters)
    options = {
        "lstm": {
            "cell_clip": 0.5,
            "proj_clip": 0.3,
            "use_skip_connections": True,
            "n_layers": layers,
            "projection_dim": width,
            "dim": cell_width,
            "n_unknown": "an option of another program",
        },
        "char_cnn": {
            "embedding": {"dim": 4},
            "filters": filters,
            "n_highway": highways,
            "n_characters": 262,
            "max_characters_per_token": 50,
            "activation": "relu",
        },
        "dropout": 0.1,
    }
    shapes = {"char_embed": (rows, 4)}
    for index, (span, number) in enumerate(filters):
        shapes |= {f"CNN/W_cnn_{index}": (1, span, 4, number), f"CNN/b_cnn_{index}": (number,)}
    for index in range(highways):
        for name in ("carry", "transform"):
            shapes |= {
                f"CNN_high_{index}/W_{name}": (features, features),
                f"CNN_high_{index}/b_{name}": (features,),
            }
    shapes |= {"CNN_proj/W_proj": (features, width), "CNN_proj/b_proj": (width,)}
    for direction in (0, 1):
        for layer in range(layers):
            cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"
            shapes |= {cell + "W_0": (2 * width, 4 * cell_width), cell + "B": (4 * cell_width,)}
            shapes[cell + "W_P_0"] = (cell_width, width)
    with h5py.File(folder / "weights.hdf5", "w") as file:
        for key, shape in shapes.items():
            spread = 0.1 if key.endswith("B") else 0.5
            file[key] = generator.normal(scale=spread, size=shape).astype(np.float32)
    (folder / "options.json").write_text(json.dumps(options))


class SlowELMo:
    """A published model."""

    def __init__(self, weights: Path, options: Path) -> None:
        self.weights = {key: array.astype(np.float64) for key, array in arrays_in(weights).items()}
        self.options = json.loads(options.read_text())
        self.filters = [tuple(pair) for pair in self.options["char_cnn"]["filters"]]
        self._vectors: dict[str, np.ndarray] = {}
        self.states: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = {}
        """(cell, output) by row, direction and layer."""

    def word_vector(self, word: str) -> np.ndarray:
        """Layer 0 of a word, one direction wide."""
        if word in self._vectors:
            return self._vectors[word]
        rows = self.weights["char_embed"]
        if len(rows) == 262:
            rows = rows[1:]  # the first is for "no word here"
        characters = [rows[id] for id in character_ids(word)]
        features = []
        for index, (span, number) in enumerate(self.filters):
            weight, bias = self.weights[f"CNN/W_cnn_{index}"][0], self.weights[f"CNN/b_cnn_{index}"]
            best = np.full(number, -np.inf)
            for start in range(50 - span + 1):
                answer = bias.copy()
                for offset in range(span):
                    answer += characters[start + offset] @ weight[offset]
                best = np.maximum(best, answer)
            features.append(np.maximum(best, 0))
        x = np.concatenate(features)
        for index in range(self.options["char_cnn"]["n_highway"]):
            name = f"CNN_high_{index}/"
            carry = sigmoid(x @ self.weights[name + "W_carry"] + self.weights[name + "b_carry"])
            transformed = np.maximum(x @ self.weights[name + "W_transform"] + self.weights[name + "b_transform"], 0)
            x = carry * transformed + (1 - carry) * x
        self._vectors[word] = x @ self.weights["CNN_proj/W_proj"] + self.weights["CNN_proj/b_proj"]
        return self._vectors[word]

    def step(self, direction: int, layer: int, x: np.ndarray, cell: np.ndarray, output: np.ndarray):
        """One step of one layer in one direction; return the new cell and output."""
        name = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"
        gates = np.concatenate([x, output]) @ self.weights[name + "W_0"] + self.weights[name + "B"]
        i, g, f, o = np.split(gates, 4)
        cell_clip, output_clip = self.options["lstm"]["cell_clip"], self.options["lstm"]["proj_clip"]
        cell = np.clip(sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g), -cell_clip, cell_clip)
        output = np.clip((sigmoid(o) * np.tanh(cell)) @ self.weights[name + "W_P_0"], -output_clip, output_clip)
        return cell, output

    def read(self, words: list[str], *, row: int | None = None) -> np.ndarray:
        """Read one sentence.

        Args:
            words: The sentence.
            row: Its place in the batch: begin with the state that this row ended in, and leave one. None: begin with
                an empty state and leave nothing.

        Returns:
            words × layers × width, both directions side by side.
        """
        vectors = [self.word_vector(word) for word in ["<S>", *words, "</S>"]]
        sides = []
        for direction in (0, 1):
            inputs = vectors if direction == 0 else vectors[::-1]
            layers = [inputs]
            for layer in range(self.options["lstm"]["n_layers"]):
                zeros = np.zeros(self.options["lstm"]["dim"]), np.zeros(self.options["lstm"]["projection_dim"])
                cell, output = self.states.get((row, direction, layer), zeros) if row is not None else zeros
                outputs = []
                for x in inputs:
                    cell, output = self.step(direction, layer, x, cell, output)
                    outputs.append(output if layer == 0 else output + x)
                if row is not None:
                    self.states[row, direction, layer] = cell, output
                layers.append(outputs)
                inputs = outputs
            if direction == 1:
                layers = [layer[::-1] for layer in layers]
            sides.append(np.array(layers)[:, 1:-1])  # layers words width
        return np.concatenate(sides, axis=2).transpose(1, 0, 2)
