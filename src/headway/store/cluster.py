"""A client of a Redis Cluster: each command goes to the node that serves its key.

It stands in for redis-py's ``RedisCluster``, some of whose ways cannot be mended from outside (seen with 5.2
and 8.1): who serves what is asked of one node after the other, with a time-out for each that stands still;
one node that is gone loses the answers of all others to a pipeline; pipelines alone never make it ask anew;
and in 5.2 a connection that fails cuts all others. This one is made of the same clients of single servers,
and does what Headway needs: commands on one key, or on keys of one hash tag.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis
from redis.commands.core import AsyncDataAccessCommands
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ConnectionError, MovedError, RedisError, TimeoutError

from headway.store.discovery import Address, client_at, first_answer

SLOTS = 16_384
# One for a slot that has moved, one for its next move that is under way, one to spare.
MAX_REDIRECTIONS = 3
# So many nodes are asked who serves what; of more, some are picked by chance.
MAX_ASKED = 8
# Their keys follow after the script and the number of keys; with all others the first word is the key.
SCRIPT_COMMANDS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


class Target(NamedTuple):
    """Where a command is sent.

    Parameters
    ----------
    address
        The node.
    is_asking
        Whether it must be told that the key's slot is on its way to it.
    """

    address: Address
    is_asking: bool = False


class Cluster(AsyncDataAccessCommands):
    """A client of a cluster, with redis-py's methods for data.

    Nothing is sent twice but what a node itself directs elsewhere. After a failure it is asked anew who
    serves what, before the next command is sent: that one follows a fail-over.

    Parameters
    ----------
    named
        The nodes to begin with, and to come back to when all others are gone; one that is up will do.
    options
        What the connections are made with, as redis-py names it.
    timeout_s
        How long a call may take.
    """

    # What redis-py's annotations want of a client; the first says that its methods are awaited.
    _is_async_client: Literal[True] = True
    _event_dispatcher: Any = None

    def __init__(self, named: Sequence[Address], options: Mapping[str, Any], *, timeout_s: float) -> None:
        self.named = frozenset(named)
        self.options = options
        self.timeout_s = timeout_s
        self._nodes: dict[Address, Redis] = {}
        self._members: frozenset[Address] = frozenset()
        # The primary of each slot; None where it must be asked anew.
        self._owners: list[Address] | None = None
        self._asking = asyncio.Lock()

    async def aclose(self) -> None:
        """Close all connections; the next command opens new ones."""
        await self._close(frozenset(self._nodes))

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        """Run one command, and return its answer.

        Raises
        ------
        RedisError, OSError
            When its node is not reached, or refuses it.
        """
        (answer,) = await self.run_all([command], **options)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run_all(self, commands: Sequence[tuple[Any, ...]], **options: Any) -> list[Any]:
        """Run commands at once: one round trip to each node, to all nodes at the same time.

        Parameters
        ----------
        commands
            The words of each. Those on one key are run in their order.
        options
            How redis-py is to read the answers.

        Returns
        -------
        list
            The answers in the order of the commands; in place of one that failed, its exception.
        """
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                owners = await self._know_owners()
        except (RedisError, OSError) as error:
            return [error] * len(commands)
        targets = {number: Target(owners[_slot(command)]) for number, command in enumerate(commands)}
        answers: dict[int, Any] = {}
        for _ in range(1 + MAX_REDIRECTIONS):
            answers |= await self._send(commands, targets, options, deadline)
            redirected = {number: self._learn(answers[number], targets[number]) for number in targets}
            targets = {number: target for number, target in redirected.items() if target is not None}
        return [answers[number] for number in range(len(commands))]

    async def ping(self) -> bool:
        """Ask whether a node is up.

        Raises
        ------
        RedisError, OSError
            When none is.
        """
        async with asyncio.timeout(self.timeout_s):
            return bool(await first_answer([self._ask(one, "PING") for one in self._some_addresses()]))

    async def script_load(self, script: str) -> str:
        """Load a script into all primaries that are up, and return its name.

        Raises
        ------
        RedisError, OSError
            When none is.
        """
        async with asyncio.timeout(self.timeout_s):
            primaries = [self._node(address) for address in set(await self._know_owners())]
            answers = await asyncio.gather(
                *(primary.script_load(script) for primary in primaries), return_exceptions=True
            )
        names = [answer for answer in answers if isinstance(answer, str)]
        if not names:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return names[0]

    async def listener(self) -> Redis:
        """Return the client of a node that hears all that is published in the cluster.

        Raises
        ------
        RedisError, OSError
            When none is up.
        """
        async with asyncio.timeout(self.timeout_s):
            return self._node(await first_answer([self._hears(one) for one in self._some_addresses()]))

    def _node(self, address: Address) -> Redis:
        if address not in self._nodes:
            self._nodes[address] = client_at(address, self.options)
        return self._nodes[address]

    async def _close(self, addresses: frozenset[Address]) -> None:
        nodes = [self._nodes.pop(address) for address in addresses & self._nodes.keys()]
        await asyncio.gather(*(node.aclose() for node in nodes), return_exceptions=True)

    async def _ask(self, address: Address, *command: str) -> Any:
        node: Any = self._node(address)  # some of its methods have no annotations
        return await node.execute_command(*command)

    def _some_addresses(self) -> list[Address]:
        known = list(self.named | self._members)
        return random.sample(known, min(len(known), MAX_ASKED))

    async def _know_owners(self) -> list[Address]:
        """Return the primary of each slot; ask, where it is not known."""
        async with self._asking:
            if self._owners is not None:
                return self._owners
            questions = [self._ask_owners(address) for address in self._some_addresses()]
            self._owners, self._members = owners, members = await first_answer(questions)
            await self._close(frozenset(self._nodes) - self.named - members)
            return owners

    async def _ask_owners(self, address: Address) -> tuple[list[Address], frozenset[Address]]:
        """Ask a node for the primary of each slot, and for all nodes."""
        # Two words, so that redis-py gives the answer as it is.
        rows = await self._ask(address, "CLUSTER", "SLOTS")
        owners = [address] * SLOTS  # one that does not serve a slot says what is to be done
        members: set[Address] = set()
        for first, last, *nodes in rows:
            # A node without a host is reached at that of the one which was asked.
            addresses = [((host or b"").decode() or address[0], int(port)) for host, port, *_ in nodes]
            owners[first : last + 1] = addresses[:1] * (last + 1 - first)
            members.update(addresses)
        if not members:
            raise ClusterDownError(f"{address[0]}:{address[1]} knows of no node that serves a slot")
        return owners, frozenset(members)

    async def _hears(self, address: Address) -> Address:
        facts = await self._ask(address, "CLUSTER", "INFO")
        if b"cluster_state:ok" not in facts:
            raise ClusterDownError(f"{address[0]}:{address[1]} is cut off from the cluster")
        return address

    async def _send(
        self,
        commands: Sequence[tuple[Any, ...]],
        targets: Mapping[int, Target],
        options: Mapping[str, Any],
        deadline: float,
    ) -> dict[int, Any]:
        """Send commands to their targets, and return the answers by the commands' numbers."""
        batches: dict[Target, list[int]] = {}
        for number, target in targets.items():
            batches.setdefault(target, []).append(number)

        async def send_batch(target: Target, numbers: list[int]) -> list[Any]:
            pipeline: Any = self._node(target.address).pipeline(transaction=False)
            for number in numbers:
                if target.is_asking:
                    pipeline.execute_command("ASKING")
                pipeline.execute_command(*commands[number], **options)
            try:
                async with asyncio.timeout_at(deadline):
                    answers: list[Any] = await pipeline.execute(raise_on_error=False)
            except (RedisError, OSError) as error:
                return [error] * len(numbers)
            return answers[1::2] if target.is_asking else answers

        results = await asyncio.gather(*(send_batch(*batch) for batch in batches.items()))
        return {
            number: answer
            for numbers, answers in zip(batches.values(), results, strict=True)
            for number, answer in zip(numbers, answers, strict=True)
        }

    def _learn(self, answer: Any, target: Target) -> Target | None:
        """Learn from an answer, and return where its command is to be sent next, if anywhere."""
        if not isinstance(answer, Exception):
            return None
        answer = _named(answer)
        if isinstance(answer, (ConnectionError, TimeoutError, OSError, ClusterDownError, MovedError)):
            self._owners = None
        if isinstance(answer, AskError):  # as MovedError is
            address = (answer.host or target.address[0], answer.port)
            return Target(address, is_asking=not isinstance(answer, MovedError))
        return None


def _slot(command: tuple[Any, ...]) -> int:
    """Return the slot of a command's first key; any slot for one without keys."""
    at = 3 if command[0].upper() in SCRIPT_COMMANDS else 1
    if len(command) <= at:
        return 0
    key = command[at]
    return int(key_slot(key if isinstance(key, bytes) else str(key).encode()))


def _named(error: Exception) -> Exception:
    """Give a cluster's error its class: with redis-py before 6 a client of one server knows none of them."""
    code, _, rest = str(error).partition(" ")
    classes = {"MOVED": MovedError, "ASK": AskError, "CLUSTERDOWN": ClusterDownError}
    return classes[code](rest) if code in classes else error
