"""The parser's network: words as vectors in, a score for every possible arc and relation out.

    vectors ─▶ layers ─▶ dropout ────┐                          ┌▶ arc vectors ─▶ biaffine ─▶ what is my head?
    parts of speech ─▶ embedding ────┴▶ BiLSTM ─▶ [root; words] ┴▶ relation vectors ─▶ biaffine ─▶ as what?

Several layers are mixed into one, or stand side by side; each is first multiplied with a fixed gain, see `scale_to`.
Parts of speech are given, or come from a `Tagger` that reads the same vectors.

This is the graph-based parser of Dozat and Manning (2017, ICLR) in the size of Schuster et al. (2019). It
never learns which language it reads. What follows from padding is kept out everywhere, so that a sentence has
the same scores alone and in company.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from isogloss.parsing.biaffine import Biaffine
from isogloss.parsing.lanes import Lanes
from isogloss.parsing.layer_mix import LayerMix
from isogloss.parsing.products import in_blocks
from isogloss.parsing.recurrent import RecurrentStack, drop_alike
from isogloss.parsing.tags import of_possible_tags
from isogloss.shapes import mask_of_lengths

IGNORED = -100
"""Stands for head and relation in the padding; the loss passes over it."""


@dataclass(frozen=True)
class ParserInputs:
    """A batch of sentences as the network sees it, padded to the longest."""

    vectors: Float[Tensor, "batch words layers width"] | None
    upos: Int[Tensor, "batch words"]
    lengths: Int[Tensor, " batch"]
    """Words of each sentence, at least 1."""
    given: Bool[Tensor, "batch told"] | None = None
    """Whose `upos` a network with a tagger shall use, in place of its own: said once for a sentence or word by word.
    None for all."""
    kinds: Int[Tensor, "batch words"] | None = None
    """What the characters of each word tell of its part of speech, see `isogloss.parsing.tags`. None: nothing."""

    def to(self, device: torch.device | str) -> "ParserInputs":
        """Return the batch on a device. Lengths stay on the CPU."""
        vectors = None if self.vectors is None else self.vectors.to(device)
        given = None if self.given is None else self.given.to(device)
        kinds = None if self.kinds is None else self.kinds.to(device)
        return ParserInputs(vectors, self.upos.to(device), self.lengths, given, kinds)


@dataclass(frozen=True)
class ParserStates:
    """What the network makes of each word in its two roles. Index 0 of ``heads`` is the root."""

    arc_dependents: Float[Tensor, "batch words arc_width"]
    arc_heads: Float[Tensor, "batch heads arc_width"]
    relation_dependents: Float[Tensor, "batch words relation_width"]
    relation_heads: Float[Tensor, "batch heads relation_width"]
    lengths: Int[Tensor, " batch"]
    tag_scores: Float[Tensor, "batch words tags"] | None = None
    """Of a network with a tagger: one score for every part of speech but the unknown one. None where every word's is
    given and nothing is learned, which spares the tagger's work."""


class ParserNetwork(nn.Module):
    """Scores arcs and relations. Takes plain numbers; see `ParserSettings` for their meaning."""

    def __init__(
        self,
        *,
        layers: int,
        width: int,
        tags: int,
        relations: int,
        upos_width: int = 50,
        mix: bool = True,
        lstm_layers: int = 3,
        hidden_width: int = 200,
        arc_width: int = 500,
        relation_width: int = 100,
        vector_dropout: float = 0.3,
        dropout: float = 0.33,
        tagger: bool = False,
    ) -> None:
        """Make the network.

        Args:
            layers: Layers of the vectors it is given; a single one is taken as it is.
            width: Width of the vectors; 0 where there are none.
            tags: Parts of speech, the unknown one included; 0 where they are not seen.
            relations: Relations to tell apart.
            upos_width: Length of the vector of a part of speech.
            mix: Whether several layers become one, their weighted sum; else they stand side by side.
            lstm_layers: Layers of the bidirectional LSTM.
            hidden_width: Its width in each direction.
            arc_width: Width of the vectors compared for arcs.
            relation_width: Width of the vectors compared for relations.
            vector_dropout: Of the single numbers of the given vectors.
            dropout: Of LSTM and arc states, alike for all words of a sentence.
            tagger: Whether it finds parts of speech by itself where they are not given.
        """
        super().__init__()
        assert width or tags, "a parser must see vectors or parts of speech"
        self.gains = nn.Buffer(torch.ones(layers if width else 0))
        """What each layer of the vectors is multiplied with; 1 until `scale_to` has seen some."""
        self.mix = LayerMix(layers) if mix and width and layers > 1 else None
        read = width if self.mix is not None else layers * width
        self.upos = nn.Embedding(tags, upos_width) if tags else None
        assert not tagger or (width and tags), "a tagger reads vectors and finds tags"
        shape = {
            "width": read,
            "mix": self.mix is not None,
            "hidden_width": hidden_width,
            "dropout": dropout,
            "vector_dropout": vector_dropout,
        }
        self.tagger = Tagger(layers=layers, tags=tags - 1, **shape) if tagger else None
        self.width, self.vector_dropout, self.dropout = width, vector_dropout, dropout
        self.recurrent = RecurrentStack(
            width=read + (upos_width if tags else 0),
            hidden_width=hidden_width,
            layers=lstm_layers,
            dropout=dropout,
        )
        states = 2 * hidden_width
        self.root = nn.Parameter(torch.randn(states))
        self.arc_dependent = nn.Linear(states, arc_width)
        self.arc_head = nn.Linear(states, arc_width)
        self.relation_dependent = nn.Linear(states, relation_width)
        self.relation_head = nn.Linear(states, relation_width)
        self.arcs = Biaffine(width=arc_width, outputs=1)
        self.relations = Biaffine(width=relation_width, outputs=relations)

    def forward(self, inputs: ParserInputs, lanes: Lanes | None = None) -> ParserStates:
        """Read sentences; return every word's vectors as a dependent and as a head.

        Args:
            inputs: The sentences; with lanes, all of them end to end in one row.
            lanes: How they are read, for parsing on a CPU.
        """
        inputs = self._scaled(inputs)
        tag_scores = None
        all_given = inputs.given is not None and bool(inputs.given.all())
        if self.tagger is not None and (self.training or not all_given):
            tag_scores = self._tag(inputs, lanes)
        words = self.recurrent(self._embed(inputs, tag_scores), inputs.lengths, lanes)
        root = self.root.expand(len(words), 1, -1)
        heads = self._drop(torch.cat([root, words], dim=1))  # batch heads states
        words = heads[:, 1:]

        def role(project: nn.Linear, states: Tensor) -> Tensor:
            return self._drop(in_blocks(lambda rows: nn.functional.elu(project(rows)), states))

        return ParserStates(
            arc_dependents=role(self.arc_dependent, words),
            arc_heads=role(self.arc_head, heads),
            relation_dependents=role(self.relation_dependent, words),
            relation_heads=role(self.relation_head, heads),
            lengths=inputs.lengths,
            tag_scores=tag_scores,
        )

    def tag_scores(self, inputs: ParserInputs) -> Float[Tensor, "batch words tags"]:
        """Return what the tagger says of sentences: log-probabilities of tags, up to a constant. Nothing is parsed."""
        return self._tag(self._scaled(inputs), None)

    def _scaled(self, inputs: ParserInputs) -> ParserInputs:
        if inputs.vectors is None or not self.width:
            return inputs
        return replace(inputs, vectors=inputs.vectors * self.gains[:, None])

    def _tag(self, inputs: ParserInputs, lanes: Lanes | None) -> Float[Tensor, "batch words tags"]:
        assert self.tagger is not None, "a parser without a tagger tells no tags"
        assert inputs.vectors is not None, "this network was built for vectors"
        scores = self.tagger(inputs.vectors, inputs.lengths, lanes)
        if inputs.kinds is None or self.training:  # in training a slip of the trees would cost infinitely
            return scores
        return of_possible_tags(scores, inputs.kinds)

    def scale_to(self, mean_squares: Float[Tensor, " layers"]) -> None:
        """Choose the gains by which numbers of such mean squares become of size 1, layer by layer.

        Vectors of a shared space are of length 1, so that each of their numbers is small. Random weights would make
        next to nothing of them, and thousands of steps would go by before they count as much as parts of speech do.

        Args:
            mean_squares: Of the numbers of each layer, 0 where they all are 0.
        """
        self.gains.copy_(torch.where(mean_squares > 0, mean_squares, 1.0).rsqrt())

    def arc_scores(self, states: ParserStates) -> Float[Tensor, "batch words heads"]:
        """Score every head for every word, −inf for a word itself and for padding."""
        scores = self.arcs(states.arc_dependents, states.arc_heads)[..., 0]  # batch words heads
        words = scores.shape[1]
        forbidden = ~mask_of_lengths(states.lengths + 1).to(scores.device)[:, None, :].expand_as(scores)
        itself = torch.eye(words + 1, dtype=torch.bool, device=scores.device)[1:]
        return scores.masked_fill(forbidden | itself, -torch.inf)

    def arc_scores_end_to_end(
        self, states: ParserStates, lengths: Sequence[int]
    ) -> Iterator[Float[Tensor, "words heads"]]:
        """Yield what `arc_scores` says of each sentence, where all were read end to end in one row."""
        dependents = self.arcs.weighted(states.arc_dependents)[0, :, 0]  # all_words width
        root, *heads = self.arcs.with_one(states.arc_heads)[0].split([1, *lengths])
        for left, right in zip(dependents.split(list(lengths)), heads, strict=True):
            scores = left @ torch.cat([root, right]).mT  # words heads
            scores[:, 1:].fill_diagonal_(-torch.inf)
            yield scores

    def relation_scores(
        self, states: ParserStates, heads: Int[Tensor, "batch words"]
    ) -> Float[Tensor, "batch words relations"]:
        """Score every relation between each word and the one head given for it."""
        width = states.relation_heads.shape[-1]
        chosen = states.relation_heads.gather(1, heads[..., None].expand(-1, -1, width))
        return self.relations.pairs(states.relation_dependents, chosen)

    def loss(
        self,
        inputs: ParserInputs,
        *,
        heads: Int[Tensor, "batch words"],
        relations: Int[Tensor, "batch words"],
    ) -> Float[Tensor, ""]:
        """Return the negative log-likelihood of gold heads and of relations to gold heads, in nats per word.

        A network with a tagger adds that of the tags, and parses half of the sentences with its own.

        Args:
            inputs: The sentences.
            heads: Gold heads; `IGNORED` in the padding.
            relations: Gold relations; `IGNORED` in the padding.
        """
        if self.tagger is not None:
            half = torch.rand(len(heads), device=heads.device) < 0.5
            inputs = replace(inputs, given=half[:, None])
        states = self(inputs)
        arc_loss = cross_entropy(self.arc_scores(states).float().mT, heads, ignore_index=IGNORED)
        scores = self.relation_scores(states, heads.clamp(min=0))
        loss = arc_loss
        if (relations != IGNORED).any():  # else there are none that the parser knows
            loss = loss + cross_entropy(scores.float().mT, relations, ignore_index=IGNORED)
        if states.tag_scores is None:
            return loss
        known = (heads != IGNORED) & (inputs.upos < states.tag_scores.shape[-1])
        if not known.any():  # a treebank without tags teaches trees only
            return loss
        return loss + cross_entropy(states.tag_scores[known].float(), inputs.upos[known])

    def _embed(
        self, inputs: ParserInputs, tag_scores: Float[Tensor, "batch words tags"] | None
    ) -> Float[Tensor, "batch words input"]:
        parts = []
        if self.width:
            assert inputs.vectors is not None, "this network was built for vectors"
            read = self.mix(inputs.vectors) if self.mix is not None else inputs.vectors.flatten(2)
            parts.append(dropout(read, self.vector_dropout, self.training))
        if self.upos is not None:
            parts.append(self.upos(inputs.upos))
        if self.upos is not None and tag_scores is not None and inputs.given is not None:
            # What the tagger is unsure of, the parser should not be sure of: it sees the mean of the tags' vectors. Its
            # own errors do not teach the tagger, which would then tell it other things than tags.
            expected = tag_scores.detach().softmax(dim=-1).to(self.upos.weight.dtype) @ self.upos.weight[:-1]
            parts[-1] = torch.where(inputs.given[..., None], parts[-1], expected)
        return torch.cat(parts, dim=-1)

    def _drop(self, states: Tensor) -> Tensor:
        return drop_alike(states, self.dropout, axis=1, training=self.training)


class Tagger(nn.Module):
    """Finds the part of speech of every word: one bidirectional LSTM over the given vectors."""

    def __init__(
        self,
        *,
        layers: int,
        width: int,
        mix: bool,
        hidden_width: int,
        tags: int,
        vector_dropout: float,
        dropout: float,
    ) -> None:
        """Make the tagger. Its width is that of a word as it is read, after the mix or with all layers side by side."""
        super().__init__()
        self.mix = LayerMix(layers) if mix else None
        self.recurrent = RecurrentStack(width=width, hidden_width=hidden_width, layers=1, dropout=dropout)
        self.tag = nn.Linear(2 * hidden_width, tags)
        self.vector_dropout, self.dropout = vector_dropout, dropout

    def forward(
        self,
        vectors: Float[Tensor, "batch words layers width"],
        lengths: Int[Tensor, " batch"],
        lanes: Lanes | None = None,
    ) -> Float[Tensor, "batch words tags"]:
        """Score every tag for every word."""
        read = self.mix(vectors) if self.mix is not None else vectors.flatten(2)
        states = self.recurrent(dropout(read, self.vector_dropout, self.training), lengths, lanes)
        return in_blocks(self.tag, drop_alike(states, self.dropout, axis=1, training=self.training))
