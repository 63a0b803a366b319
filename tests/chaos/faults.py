"""The faults, and which of them a round has: drawn by chance, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from random import Random

import msgspec

FAULTS_A_ROUND = (1, 3)
# Within so long the faults of a round begin.
SPREAD_S = 0.8


class Fault(StrEnum):
    """What can happen to whom."""

    KILL_WORKER = "kill_worker"  # kill -9, and a successor at once
    LOSE_WORKER = "lose_worker"  # kill -9, and a successor when everybody has seen it
    PAUSE_WORKER = "pause_worker"  # SIGSTOP, and SIGCONT some seconds later
    ZOMBIE_WORKER = "zombie_worker"  # the same, with a successor meanwhile
    KILL_SERVER = "kill_server"  # kill -9, and a new one on the same port
    KILL_STORE = "kill_store"  # kill -9 of the Valkey, once or again whenever it is back
    PAUSE_STORE = "pause_store"  # SIGSTOP of the Valkey: what it is sent is done later, and nobody is told
    CUT_STORE = "cut_store"  # all connections to Redis but the subscriptions, once or again and again
    CUT_HINTS = "cut_hints"  # all subscriptions to Redis, likewise
    DROP_VIEWERS = "drop_viewers"  # their sockets, likewise, without a farewell
    SILENCE_VIEWERS = "silence_viewers"  # two leave their sockets open and unread


# How long each lasts, at least and at most; those of no length heal at once.
_LASTS_S = {
    Fault.PAUSE_WORKER: (0.5, 6.5),
    Fault.ZOMBIE_WORKER: (0.5, 4.0),
    Fault.KILL_SERVER: (0.0, 1.0),
    Fault.KILL_STORE: (0.0, 2.0),
    Fault.PAUSE_STORE: (0.2, 3.0),
    Fault.CUT_STORE: (0.0, 2.0),
    Fault.CUT_HINTS: (0.0, 2.0),
    Fault.DROP_VIEWERS: (0.0, 2.0),
    Fault.SILENCE_VIEWERS: (0.5, 3.0),
}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a round.

    Parameters
    ----------
    starts_s, lasts_s
        When it begins, after the round does, and how long it lasts, beyond its first moment.
    target
        Which of the workers, or of the viewers.
    """

    fault: Fault
    starts_s: float
    lasts_s: float
    target: int


class Deck:
    """Deals faults like cards: each kind comes once before any comes again.

    Parameters
    ----------
    workers
        How many there are; the faults of a round happen to different ones.
    kinds
        What is dealt.
    """

    def __init__(self, chance: Random, *, workers: int, kinds: Sequence[Fault] = tuple(Fault)) -> None:
        self._chance = chance
        self._workers = workers
        self._kinds = kinds
        self._cards: list[Fault] = []

    def deal(self) -> list[Planned]:
        """Draw the faults of a round: 1 to 3 different ones."""
        count = self._chance.randint(*FAULTS_A_ROUND)
        dealt = self._draw(min(count, len(self._kinds)))
        targets = self._chance.sample(range(self._workers), len(dealt))
        return [
            Planned(
                fault=fault,
                starts_s=round(self._chance.uniform(0.0, SPREAD_S), 3),
                lasts_s=round(self._chance.uniform(*_LASTS_S.get(fault, (0.0, 0.0))), 3),
                target=target,
            )
            for fault, target in zip(dealt, targets, strict=True)
        ]

    def _draw(self, count: int) -> list[Fault]:
        drawn: list[Fault] = []
        while len(drawn) < count:
            card = next((card for card in self._cards if card not in drawn), None)
            if card is None:
                cards = list(self._kinds)
                self._chance.shuffle(cards)
                self._cards += cards
            else:
                self._cards.remove(card)
                drawn.append(card)
        return drawn
