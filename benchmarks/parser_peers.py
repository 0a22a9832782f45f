"""What `benchmarks.parser` runs, each piece in a process of its own: our parser, SuPar, stanza and the machine alone.

Each parser is given a folder with `train.conllu`, `dev.conllu` and `test.conllu`, which hold nothing but words,
universal parts of speech and trees without subtypes of relations; seconds of CPU time for all that happens before it
can parse; and a seed. It writes its trees of the last two files and prints one JSON object: seconds and words of
training, without what came before; seconds and sentences of parsing; and its peak memory.
"""

SHARED = """
import json, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
folder, seconds, seed = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
begun = time.process_time()
def clocks(): return time.perf_counter(), time.process_time()
def since(start): return dict(zip(("wall", "cpu"), (now - then for now, then in zip(clocks(), start))))
def report(training, words, steps, parsing, sentences):
    peak = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    training = {**training, "words": words, "steps": steps}
    print(json.dumps({"training": training, "parsing": {**parsing, "sentences": sentences}, "peak": peak}))
"""

OURS = (
    SHARED
    + """
from isogloss.compute.randomness import derive_seed
from isogloss.corpus.conllu import read_conllu, read_treebank, write_conllu
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.stored import StoredEncoder, store_vectors
from isogloss.parsing.batches import ParserBatches
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.training import train_parser
model, precision, language, batch_size = Path(sys.argv[4]), sys.argv[5], sys.argv[6], int(sys.argv[7])

def settings(steps):
    loop = {"max_steps": steps, "learning_rate": 2e-3, "schedule": "linear", "warmup_steps": min(40, steps // 10)}
    return ParserSettings(layer="mix", precision=precision, batch_size=batch_size, loop=loop)

def train(steps):
    times = []
    on_step = lambda step: times.append(clocks())
    return train_parser(stored, [trees], settings=settings(steps), seed=seed, on_step=on_step), times

trees = read_treebank(folder / "train.conllu", language=language)
encoder = ELMoEncoder.load(model)
place = folder / f"vectors-{seed}-{precision}-{batch_size}"
place.mkdir()
store_vectors(place, encoder, trees, shape=(encoder.layers, encoder.width))
stored = StoredEncoder.load(place)
_, times = train(12)  # how many steps fit into the time is found from a few
of_one = (times[-1][1] - times[3][1]) / (len(times) - 4)
steps = max(20, int((seconds - (time.process_time() - begun)) / of_one))
parser, times = train(steps)
training = dict(zip(("wall", "cpu"), (last - first for first, last in zip(times[0], times[-1]))))
lengths = [len(sentence) for sentence in trees]
batches = ParserBatches({language: lengths}, batch_size=batch_size, seed=derive_seed(seed, "parser batches"))
words = [sum(lengths[index] for index in next(batches).indices) for _ in range(steps)]
files = {name: read_conllu(folder / f"{name}.conllu", language=language) for name in ("dev", "test")}
parser.parse(trees.sentences[:1], encoder)
encoder = ELMoEncoder.load(model)  # which remembers no words
start = clocks()
parsed = {name: parser.parse(sentences, encoder) for name, sentences in files.items()}
parsing = since(start)
for name, sentences in parsed.items():
    write_conllu(sentences, folder / f"{name}.system.conllu")
report(training, sum(words[1:]), steps, parsing, sum(map(len, files.values())))
"""
)

# Sizes and rates of SuPar's own configuration for its LSTM with letters (ptb.biaffine.dep.lstm.char), which is what
# its classes take by default where they name one.
SUPAR = (
    SHARED
    + """
import logging, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
from supar import BiaffineDependencyParser
from supar.utils import Dataset
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR
torch.manual_seed(seed)
file = str(folder / "train.conllu")
parser = BiaffineDependencyParser.build(
    str(folder / "supar"), train=file, feat=["tag", "char"], encoder="lstm", embed=None, build=True, min_freq=2,
    fix_len=20, update_steps=1, clip=5.0, partial=False, punct=True, tree=True, proj=False, prob=False,
)
parser.transform.train()
loader = Dataset(parser.transform, file).build(5000, 32, True).loader
parser.optimizer = Adam(parser.model.parameters(), 2e-3, (0.9, 0.9), 1e-12)
parser.scheduler = ExponentialLR(parser.optimizer, 0.75 ** (1 / 5000))
words = steps = 0

class UntilTimeIsUp:
    def __len__(self): return len(loader)
    def __iter__(self):
        global words, steps
        for batch in loader:
            if time.process_time() - begun > seconds: return
            yield batch
            words += sum(len(sentence.words) for sentence in batch.sentences); steps += 1

start = clocks()
while time.process_time() - begun < seconds:
    parser._train(UntilTimeIsUp())
training = since(start)
parser.transform.eval()
files = {name: Dataset(parser.transform, str(folder / f"{name}.conllu")) for name in ("dev", "test")}
start = clocks()
found = {name: parser._predict(data.build(5000, 8).loader) for name, data in files.items()}
parsing = since(start)
for name, data in files.items():
    for field, values in found[name].items():
        if values is not None: setattr(data, field, values)
    parser.transform.save(str(folder / f"{name}.system.conllu"), data.sentences)
report(training, words, steps, parsing, sum(len(data.sentences) for data in files.values()))
"""
)

STANZA = (
    SHARED
    + """
import logging, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
from stanza.models import parser as program
from stanza.models.common import utils
from stanza.models.common.doc import DEPREL, HEAD, Document
from stanza.models.depparse.data import DataLoader, InfiniteBatch
from stanza.models.depparse.trainer import GraphTrainer
from stanza.utils.conll import CoNLL
utils.set_random_seed(seed)
file = str(folder / "train.conllu")
given = ["--no_pretrain", "--no_xpos", "--no_ufeats", "--no_checkpoint", "--train_file", file, "--seed", str(seed)]
args = program.parse_args(given + ["--lang", "en", "--shorthand", "en_benchmark", "--save_dir", str(folder)])
args["word_cutoff"] = utils.update_word_cutoff(None, args["word_cutoff"])
data = DataLoader(Document(CoNLL.conll2dict(input_file=file)[0]), args["batch_size"], args, None, evaluation=False)
batches = InfiniteBatch(data)
trainer = GraphTrainer(args=args, vocab=data.vocab, pretrain=None, device="cpu")
words = steps = 0
start = clocks()
while time.process_time() - begun < seconds:
    batch = batches.next_batch()
    trainer.update(batch, eval=False)
    words += sum(length - 1 for length in batch[13]); steps += 1  # each sentence begins with a root
training = since(start)
documents = {name: CoNLL.conll2doc(input_file=str(folder / f"{name}.conllu")) for name in ("dev", "test")}
start = clocks()
for document in documents.values():
    data = DataLoader(document, args["batch_size"], args, None, vocab=trainer.vocab, evaluation=True,
                      sort_during_eval=True)
    found = program.predict_dataset(trainer, data)
    document.set([HEAD, DEPREL], [pair for sentence in found for pair in sentence])
parsing = since(start)
for name, document in documents.items():
    CoNLL.write_doc2conll(document, str(folder / f"{name}.system.conllu"))
report(training, words, steps, parsing, sum(len(document.sentences) for document in documents.values()))
"""
)

RATE = """
import json, time
import torch
torch.set_num_threads(1)
left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
left @ right
cpu, products = time.process_time(), 0
while time.process_time() - cpu < 1.0:
    left @ right
    products += 1
print(json.dumps({"cpu": 2 * 2048**3 * products / (time.process_time() - cpu)}))
"""
