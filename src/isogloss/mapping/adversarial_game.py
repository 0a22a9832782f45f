"""Two players: a discriminator that tells mapped source vectors from target vectors, and the map that deceives it.

Receives vectors of both languages and a matrix to begin with, of which there are three kinds here; hands on the
matrix, step after step. What is made of it, and whether it should be believed, is the business of
`mapping.adversarial`.

Source: Conneau et al. (2018), Word Translation Without Parallel Data, section 2.1; settings as in their programs.
"""

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from isogloss.compute.randomness import derive_seed, seeded_torch
from isogloss.mapping.settings import AdversarialSettings


def random_rotation(width: int, seed: int, *purpose: str | int) -> Float64[Tensor, "width width"]:
    """Draw an orthogonal matrix, each as likely as any other."""
    generator = torch.Generator().manual_seed(derive_seed(seed, *purpose))
    numbers = torch.randn(width, width, generator=generator, dtype=torch.float64)
    Q, R = torch.linalg.qr(numbers)
    return Q * R.diagonal().sign()  # QR alone would favour some: Mezzadri (2007), Notices of the AMS 54(5)


def principal_axes_rotation(
    source: Float[Tensor, "source_types width"], target: Float[Tensor, "target_types width"]
) -> Float64[Tensor, "width width"]:
    """Turn the source's principal axes into the target's, strongest to strongest.

    An axis has no direction of its own; it is pointed to where the skewness of the words along it is positive.
    """
    axes = []
    for vectors in (source.double(), target.double()):
        centred = vectors - vectors.mean(dim=0)
        _, principal = torch.linalg.eigh(centred.mT @ centred)  # by rising variance in both languages
        skewness = (centred @ principal).pow(3).mean(dim=0)
        axes.append(principal * torch.where(skewness < 0, -1.0, 1.0))
    return axes[0] @ axes[1].mT


def nearest_orthogonal(matrix: Float[Tensor, "width width"]) -> Float64[Tensor, "width width"]:
    """Find the orthogonal matrix closest to a matrix: with M = U S Vᵀ it is U Vᵀ."""
    U, _, Vh = torch.linalg.svd(matrix.double())
    return U @ Vh


class Discriminator(nn.Module):
    """Guesses the language of a vector: positive scores say source, negative ones target."""

    def __init__(self, *, width: int, hidden_width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden_width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(hidden_width, hidden_width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(hidden_width, 1),
        )

    def forward(self, vectors: Float32[Tensor, "batch width"]) -> Float32[Tensor, " batch"]:
        """Score vectors, those of the source already mapped: log p(source) − log p(target), as it guesses."""
        return self.layers(vectors)[:, 0]


class Game:
    """The two players and their dice. Unlike most values here it changes with every step; it lives for one restart."""

    def __init__(
        self,
        pools: tuple[Float32[Tensor, "source_vectors width"], Float32[Tensor, "target_vectors width"]],
        *,
        matrix: Float64[Tensor, "width width"],
        settings: AdversarialSettings,
        seed: int,
        restart: int,
    ):
        """Set up a game with W at ``matrix``; every restart has dice and a new discriminator of its own."""
        self._settings = settings
        self._pools = (_of_mean_norm(pools[0], settings.vector_norm), _of_mean_norm(pools[1], settings.vector_norm))
        with seeded_torch(seed, "adversarial", "discriminator", restart):
            self._discriminator = Discriminator(width=len(matrix), hidden_width=settings.discriminator_width)
        self._weights = list(self._discriminator.parameters())
        self._dice = torch.Generator().manual_seed(derive_seed(seed, "adversarial", "draws", restart))
        self._matrix = matrix.float().clone().requires_grad_()
        self.learning_rate = settings.learning_rate
        """Of the map; whoever plays the game lowers it. The discriminator's stays."""

    @property
    def matrix(self) -> Float64[Tensor, "width width"]:
        """W as it is now, not quite orthogonal."""
        return self._matrix.detach().double()

    def discriminator_step(self) -> Float32[Tensor, ""]:
        """Teach the discriminator one batch; return the share it had told rightly."""
        settings = self._settings
        with torch.no_grad():
            vectors = torch.cat([self._draw(0) @ self._matrix, self._draw(1)])
            kept = torch.rand(vectors.shape, generator=self._dice) >= settings.discriminator_dropout
            vectors = vectors * kept / (1 - settings.discriminator_dropout)
        truth = torch.full((len(vectors),), settings.label_smoothing)
        truth[: settings.batch_words] = 1 - settings.label_smoothing
        scores = self._discriminator(vectors)
        gradients = torch.autograd.grad(binary_cross_entropy_with_logits(scores, truth), self._weights)
        with torch.no_grad():
            for weight, gradient in zip(self._weights, gradients, strict=True):
                weight.sub_(gradient, alpha=settings.discriminator_learning_rate)
            return ((scores > 0) == (truth > 0.5)).float().mean()

    def mapping_step(self) -> None:
        """Turn W so that the discriminator errs more, and pull it back towards the orthogonal matrices."""
        settings = self._settings
        scores = self._discriminator(self._draw(0) @ self._matrix)
        # The target's half of the batch does not depend on W; it counts in the mean all the same, hence the half.
        loss = 0.5 * binary_cross_entropy_with_logits(scores, torch.full_like(scores, settings.label_smoothing))
        (gradient,) = torch.autograd.grad(loss, [self._matrix])
        with torch.no_grad():
            W = self._matrix.sub_(gradient, alpha=self.learning_rate)
            W.copy_((1 + settings.orthogonality) * W - settings.orthogonality * W @ (W.mT @ W))

    def _draw(self, side: int) -> Float32[Tensor, "batch width"]:
        """Draw vectors of one language, each as likely as any other."""
        pool = self._pools[side]
        return pool[torch.randint(len(pool), (self._settings.batch_words,), generator=self._dice)]


def _of_mean_norm(vectors: Float32[Tensor, "vectors width"], norm: float | None) -> Float32[Tensor, "vectors width"]:
    """Scale a language's vectors by one number, which changes no rotation but how fast the players learn."""
    mean = float(torch.linalg.vector_norm(vectors, dim=1).double().mean())
    return vectors if norm is None or mean == 0 else vectors * (norm / mean)
