"""How the links of two directions of a word aligner become one set, where their intersection is too few.

Receives sets of links of one sentence pair; hands on one set. Source: Koehn, Och and Marcu (2003), Statistical
Phrase-Based Translation, section 3.
"""


def grow_diag_final_and(
    forward: frozenset[tuple[int, int]], backward: frozenset[tuple[int, int]]
) -> frozenset[tuple[int, int]]:
    """Join the links of two directions: their intersection, its neighbours, and links of words still alone.

    *Grow-diag*: as long as there is one, a link of the union is added that touches a present link, also at a corner,
    and of which one word is still alone. *Final-and*: then every link of the forward direction, and after it of the
    backward direction, of which both words are still alone. Links are tried in rising order, so the result is unique.

    Source: Koehn, Och and Marcu (2003).
    """
    links, union = set(forward & backward), forward | backward
    sources, targets = {i for i, _ in links}, {j for _, j in links}

    def add(link: tuple[int, int]) -> None:
        links.add(link)
        sources.add(link[0])
        targets.add(link[1])

    waiting = sorted(links)
    while waiting:
        reached: list[tuple[int, int]] = []
        for i, j in waiting:
            for neighbour in ((i + down, j + right) for down in (-1, 0, 1) for right in (-1, 0, 1)):
                alone = neighbour[0] not in sources or neighbour[1] not in targets
                if neighbour in union and neighbour not in links and alone:
                    add(neighbour)
                    reached.append(neighbour)
        waiting = reached
    for direction in (forward, backward):
        for link in sorted(direction):
            if link[0] not in sources and link[1] not in targets:
                add(link)
    return frozenset(links)
