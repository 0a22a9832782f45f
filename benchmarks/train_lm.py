"""Speed of training a language model, beside what the machine can do: ``python -m benchmarks.train_lm TEXT``.

One thread. Rounds of matrix products and of training steps take turns, so that a machine that is busy for a while slows
both. Printed are wall and CPU seconds (on a busy machine a process waits for its turn, which only the wall clock sees),
each as minimum, median and maximum over rounds.

The operations of a model are counted from its weights: forward and backward, 3 × 2 for each weight and word. They are
told apart by part, since a character network runs once per distinct word type and a sampled softmax scores the rivals
that were drawn. Additions that are not matrix products count for nothing: the share is of *useful* products.
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from isogloss.compute.loop import optimise
from isogloss.compute.randomness import seeded_torch
from isogloss.encoders.elmo.bilm import BiLM, StreamBatch
from isogloss.encoders.elmo.counting import count_text, held_out_sentences
from isogloss.encoders.elmo.perplexity import measure_perplexity
from isogloss.encoders.elmo.settings import SIZES, BiLMLoopSettings, BiLMSettings, BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile, TextStreams

FORWARD_AND_BACKWARD = 3 * 2


class Timed:
    """Streams whose time is taken, with the operations of each batch."""

    def __init__(self, streams: TextStreams, model: BiLM, shape: BiLMSettings) -> None:
        self.streams, self.model, self.shape = streams, model, shape
        self.seconds = 0.0
        self.operations: dict[str, float] = {}
        self.types = 0

    def __next__(self) -> StreamBatch:
        begun = time.process_time()
        batch = next(self.streams)
        self.seconds += time.process_time() - begun
        for part, count in operations(batch, self.model, self.shape).items():
            self.operations[part] = self.operations.get(part, 0.0) + count
        self.types += len(batch.ids)
        return batch

    def state_dict(self) -> dict[str, Any]:
        return self.streams.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.streams.load_state_dict(state)


def operations(batch: StreamBatch, model: BiLM, shape: BiLMSettings) -> dict[str, float]:
    """Count the floating-point operations of a training step's matrix products, by part of the model."""
    assert model.softmax is not None
    places = batch.inputs.numel()  # both directions
    width, cell = shape.projection_width, shape.cell_width
    rivals = model.softmax.types
    if rivals > model.softmax.samples:  # distinct ranks of a log-uniform sample, as `WordSoftmax` draws them
        ranks = torch.arange(rivals, dtype=torch.float64)
        chance = torch.log1p(1.0 / (ranks + 1.0)) / torch.log(torch.tensor(rivals + 1.0, dtype=torch.float64))
        rivals = float(-torch.expm1(model.softmax.samples * torch.log1p(-chance)).sum())
    longest = model.characters._trim(batch.spellings).shape[1]
    features = sum(number for _, number in shape.filters)
    windows = sum((longest - span + 1) * span * shape.character_width * number for span, number in shape.filters)
    by_type = windows + shape.highways * 2 * features**2 + features * width
    return {
        "recurrent": FORWARD_AND_BACKWARD * places * shape.layers * (2 * width * 4 * cell + cell * width),
        "softmax": FORWARD_AND_BACKWARD * places * rivals * width,
        "characters": FORWARD_AND_BACKWARD * len(batch.ids) * by_type,
    }


def matrix_rate(seconds: float, size: int = 1024) -> tuple[float, float]:
    """Return the float32 matrix-product rate of this thread in GFLOP per second of the wall clock and of CPU."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    _ = left @ right
    wall, cpu, products = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds:
        _ = left @ right
        products += 1
    done = 2e-9 * size**3 * products
    return done / (time.perf_counter() - wall), done / (time.process_time() - cpu)


def summary(values: list[float], digits: int = 0) -> list[float]:
    """Return minimum, median and maximum."""
    return [round(value, digits or None) for value in (min(values), statistics.median(values), max(values))]


def main() -> None:
    """Run the benchmark and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("text", type=Path, help="raw text, one sentence a line; plain, gz, xz or zst")
    parser.add_argument("--language", default="en")
    parser.add_argument("--size", default="small", choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="training steps in a round")
    parser.add_argument("--count-words", type=int, default=2_000_000, help="words counted for the vocabulary")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = SIZES[options.size]
    settings = BiLMTrainingSettings(model=shape, counted_words=options.count_words, start="random")
    corpus = TextFile(options.text, options.language)
    counted = count_text(corpus, settings)
    held_out = held_out_sentences(corpus, settings)
    words_of_step = settings.rows * settings.unroll
    with seeded_torch(1, "benchmark"):
        model = BiLM(shape, types=len(counted.vocabulary), samples=settings.softmax_samples, dropout=settings.dropout)
        streams = TextStreams(corpus, counted.vocabulary, rows=settings.rows, unroll=settings.unroll, seed=1)
        batches = Timed(streams, model, shape)
        states = model.zero_states(settings.rows)

        def loss(batch: StreamBatch) -> torch.Tensor:
            nonlocal states
            value, states = model.loss(batch, states)
            return value

        steps = optimise(model, batches, loss=loss, settings=BiLMLoopSettings())
        for _ in range(5):  # memory is found, caches are filled
            next(steps)
        rates: dict[str, list[float]] = {"matrix_wall": [], "matrix_cpu": [], "words_wall": [], "words_cpu": []}
        shares: dict[str, list[float]] = {"of_matrix_wall": [], "of_matrix_cpu": [], "preparation": []}
        gflop: dict[str, float] = {}
        types = 0
        for _ in range(options.rounds):
            matrix_wall, matrix_cpu = matrix_rate(0.5)
            batches.seconds, batches.operations, batches.types = 0.0, {}, 0
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(options.steps):
                next(steps)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            words = options.steps * words_of_step
            done = sum(batches.operations.values()) / 1e9
            rates["matrix_wall"].append(matrix_wall)
            rates["matrix_cpu"].append(matrix_cpu)
            rates["words_wall"].append(words / wall)
            rates["words_cpu"].append(words / cpu)
            shares["of_matrix_wall"].append(100 * done / wall / matrix_wall)
            shares["of_matrix_cpu"].append(100 * done / cpu / matrix_cpu)
            shares["preparation"].append(100 * batches.seconds / cpu)
            gflop = {part: round(count / 1e9 / options.steps, 3) for part, count in batches.operations.items()}
            types = round(batches.types / options.steps)
        steps.close()
    model.eval()
    cpu = time.process_time()
    words = measure_perplexity(model, counted.vocabulary, held_out).words
    print(
        json.dumps(
            {
                "text": str(options.text),
                "size": options.size,
                "rows": settings.rows,
                "unroll": settings.unroll,
                "vocabulary": len(counted.vocabulary),
                "words_per_step": words_of_step,
                "word_types_per_step": types,
                "gflop_per_step": gflop,
                "words_per_wall_second": summary(rates["words_wall"]),
                "words_per_cpu_second": summary(rates["words_cpu"]),
                "matrix_gflops_wall": summary(rates["matrix_wall"], 1),
                "matrix_gflops_cpu": summary(rates["matrix_cpu"], 1),
                "percent_of_matrix_rate_wall": summary(shares["of_matrix_wall"], 1),
                "percent_of_matrix_rate_cpu": summary(shares["of_matrix_cpu"], 1),
                "percent_of_cpu_in_text_preparation": summary(shares["preparation"], 1),
                "evaluated_words_per_cpu_second": round(words / (time.process_time() - cpu)),
                "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
