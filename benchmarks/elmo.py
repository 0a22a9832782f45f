"""Speed and memory of embedding, beside AllenNLP's and the machine's own: ``python -m benchmarks.elmo``.

Writes random weights in the published format, and lets three kinds of process take turns on one thread each: ours, the
machine's float32 matrix product, and AllenNLP 0.9.0's `ElmoEmbedder`, which reads the very same files. All embed the
same sentences of a treebank. Printed are tokens per second of wall clock and of CPU, peak memory, and the share of the
matrix-product rate that the model's own operations reach (2 × weights used: the LSTMs once per token and direction, the
character network once per distinct word type). Loading is not timed; memory counts everything.

AllenNLP carries its state from one batch to the next and we do not, so vectors are compared on its first batch, which
begins with empty states. (``--peer-batch`` is 64 as in `ElmoEmbedder.embed_sentences`.)

AllenNLP 0.9.0 needs Python 3.7 and is not part of this package. An environment of its own:

    python3.7 -m venv peer
    peer/bin/pip install -U pip wheel "setuptools<60"
    peer/bin/pip install --no-build-isolation --prefer-binary torch==1.4.0 allennlp==0.9.0 \
        scikit-learn==0.22.2.post1 overrides==3.1.0 jsonnet==0.20.0
    python -m benchmarks.elmo --peer-python peer/bin/python

Without ``--peer-python`` the peer is left out. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OURS = """
import json, sys, time
import torch
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.elmo.embedder import ELMoEncoder
torch.set_num_threads(1)
texts, model, dtype, vectors_out, first = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3], sys.argv[4], 64
from pathlib import Path
sentences = [Sentence.of_forms(words) for words in texts]
encoder = ELMoEncoder.load(Path(model), dtype=getattr(torch, dtype))
for _ in encoder.iterate(sentences[:1]): pass
encoder = ELMoEncoder(encoder.model, settings=encoder.settings, vocabulary=encoder.vocabulary, language="en")
wall, cpu = time.perf_counter(), time.process_time()
total = 0.0
for vectors in encoder.iterate(sentences):
    total += float(vectors[0, -1, 0])
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
if vectors_out:
    from safetensors.torch import save_file
    kept = {str(n): v.transpose(0, 1).contiguous() for n, v in enumerate(encoder.iterate(sentences[:first]))}
    save_file(kept, vectors_out)
print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))
"""

PEER = """
import json, logging, sys, time, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import torch
torch.set_num_threads(1)
from allennlp.commands.elmo import ElmoEmbedder
texts, folder, batch_size, vectors_out = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3]), sys.argv[4]
embedder = ElmoEmbedder(folder + "/options.json", folder + "/weights.hdf5")
first = embedder.embed_batch(texts[:64]) if vectors_out else None
if not vectors_out:
    embedder.embed_batch(texts[:1])
embedder.elmo_bilm._elmo_lstm.reset_states()
wall, cpu = time.perf_counter(), time.process_time()
total = 0.0
for vectors in embedder.embed_sentences(iter(texts), batch_size):
    total += float(vectors[-1, 0, 0])
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
if vectors_out:
    import numpy
    numpy.savez(vectors_out, **{str(n): v for n, v in enumerate(first)})
print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))
"""

RATE = """
import json, time
import torch
torch.set_num_threads(1)
left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
left @ right
wall, cpu, products = time.perf_counter(), time.process_time(), 0
while time.process_time() - cpu < 2.0:
    left @ right
    products += 1
flops = 2 * 2048**3 * products
print(json.dumps({"wall": flops / (time.perf_counter() - wall), "cpu": flops / (time.process_time() - cpu)}))
"""


def shapes() -> dict[str, Any]:
    """Return the sizes that can be asked for; none has vectors of word types, which the published format cannot say."""
    from isogloss.encoders.elmo.settings import SIZES, BiLMSettings

    filters = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
    published = BiLMSettings(filters=filters, highways=1, word_types=0, projection_width=128, cell_width=1024)
    ours = {name: size.model_copy(update={"word_types": 0}) for name, size in SIZES.items()}
    return {**ours, "published-small": published}


def flops_of(settings: Any, texts: Sequence[Sequence[str]]) -> float:
    """Count the model's floating-point operations for a text, two for each weight used."""
    types = {word for words in texts for word in words}
    tokens = sum(map(len, texts))
    width, cell = settings.projection_width, settings.cell_width
    per_token = 2 * settings.layers * (2 * width * 4 * cell + cell * width)
    features = sum(number for _, number in settings.filters)
    per_type = settings.highways * 2 * features * features + features * width
    # A word is read over the places of its letters, its two marks, and the places where a filter reaches past its end.
    per_place = settings.character_width * sum(span * number for span, number in settings.filters)
    places = sum(min(50, len(word.encode()) + 2) for word in types)
    return 2.0 * (tokens * per_token + len(types) * per_type + places * per_place)


def run(python: str, code: str, *arguments: object) -> dict[str, float]:
    """Run a piece of Python in a process of its own with one thread, and return what it prints as JSON."""
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)], env={**os.environ, **threads}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{python} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def spread(values: Sequence[float], form: str) -> str:
    """Write the least, the middle and the greatest of some values."""
    return " / ".join(format(value, form) for value in (min(values), statistics.median(values), max(values)))


def largest_difference(ours: Path, peer: Path) -> float:
    """Return the largest absolute difference between two files of vectors of the same sentences."""
    import numpy as np
    from safetensors.numpy import load_file

    found, expected = load_file(ours), np.load(peer)
    assert set(found) == set(expected.files), "both hold the same sentences"
    return max(float(np.abs(found[name] - expected[name]).max()) for name in found)


def measure(name: str, settings: Any, texts: list[list[str]], options: argparse.Namespace, folder: Path) -> None:
    """Let all take turns at one size, and print what was found."""
    import torch

    from isogloss.corpus.vocabulary import RESERVED, Vocabulary
    from isogloss.encoders.elmo.bilm import BiLM
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.published import write_published

    torch.manual_seed(1)
    model = BiLM(settings, types=len(RESERVED), predicts=False)
    vocabulary = Vocabulary(RESERVED, (0,) * len(RESERVED))
    encoder = ELMoEncoder(model, settings=settings, vocabulary=vocabulary, language="en")
    write_published(encoder, folder)
    encoder.save(folder)
    del model, encoder
    (folder / "texts.json").write_text(json.dumps(texts))

    tokens, flops = sum(map(len, texts)), flops_of(settings, texts)
    types = len({word for words in texts for word in words})
    found: dict[str, list[dict[str, float]]] = {"ours": [], "rate": [], "bfloat16": [], "AllenNLP": []}
    for number in range(options.rounds):
        keep = number == 0 and options.peer_python
        files = [folder / "ours.safetensors", folder / "peer.npz"] if keep else ["", ""]
        text = folder / "texts.json"
        found["ours"].append(run(sys.executable, OURS, text, folder, "float32", files[0]))
        found["rate"].append(run(sys.executable, RATE))
        found["bfloat16"].append(run(sys.executable, OURS, text, folder, "bfloat16", ""))
        if options.peer_python:
            found["AllenNLP"].append(run(options.peer_python, PEER, text, folder, options.peer_batch, files[1]))
    weights = 2 * settings.layers * (2 * settings.projection_width * 4 + settings.projection_width)
    print(
        f"\n{name}: {settings.layers} layers, cells {settings.cell_width}, width {settings.projection_width}, ", end=""
    )
    print(f"{weights * settings.cell_width / 1e6:.1f} million LSTM weights; ", end="")
    print(f"{len(texts)} sentences, {tokens} words, {types} types; {options.rounds} rounds, least / median / greatest")
    print(f"matrix product, GFLOP/s of CPU time     {spread([one['cpu'] / 1e9 for one in found['rate']], '.1f')}")
    for who in ("ours", "bfloat16", "AllenNLP"):
        if some := found[who]:
            print(f"{who:<9} words/s of wall clock        {spread([tokens / one['wall'] for one in some], ',.0f')}")
            print(f"{'':<9} words/s of CPU time          {spread([tokens / one['cpu'] for one in some], ',.0f')}")
            print(f"{'':<9} peak memory, MB              {spread([one['peak'] / 1e6 for one in some], ',.0f')}")
            pairs = list(zip(some, found["rate"], strict=True))
            shares = [flops / one["cpu"] / rate["cpu"] for one, rate in pairs]
            print(f"{'':<9} share of the matrix rate     {spread(shares, '.1%')}")
    for who in ("ours", "bfloat16") if found["AllenNLP"] else ():
        pairs = list(zip(found[who], found["AllenNLP"], strict=True))
        print(f"{who} / AllenNLP: speed by wall clock   {spread([t['wall'] / o['wall'] for o, t in pairs], '.2f')}")
        print(f"{who} / AllenNLP: speed by CPU time     {spread([t['cpu'] / o['cpu'] for o, t in pairs], '.2f')}")
        print(f"{who} / AllenNLP: peak memory           {spread([o['peak'] / t['peak'] for o, t in pairs], '.2f')}")
    if found["AllenNLP"]:
        difference = largest_difference(folder / "ours.safetensors", folder / "peer.npz")
        print(f"vectors of AllenNLP's first batch: largest absolute difference {difference:.1e}", flush=True)


def main() -> None:
    """Run the benchmark and print a paragraph for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds ud/en/dev.conllu")
    parser.add_argument("--peer-python", help="a Python that has AllenNLP 0.9.0")
    parser.add_argument("--peer-batch", type=int, default=64, help="sentences that AllenNLP reads together")
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sizes", nargs="+", default=["small", "published-small", "original"], choices=sorted(shapes())
    )
    options = parser.parse_args()

    from isogloss.corpus.conllu import iterate_conllu

    sentences = iterate_conllu(options.data / "ud" / "en" / "dev.conllu", language="en")
    texts = [list(sentence.forms) for sentence, _ in zip(sentences, range(options.sentences), strict=False)]
    for name in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, shapes()[name], texts, options, Path(folder))


if __name__ == "__main__":
    main()
