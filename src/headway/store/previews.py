"""Previews as they are stored: the bytes, and the facts that a viewer is told without them.

A worker says with each new preview which older ones leave; how they are deleted is in ``write.lua``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from headway.models import encode_json
from headway.store import keys
from headway.timestamps import Timestamp, decode_timestamp

if TYPE_CHECKING:
    from headway.store.commands import Commands

# More would show nothing more when they are scrubbed through; a worker thins its task's to as many.
KEPT_PREVIEWS = 200
#: What a task's previews may take unless its worker says otherwise.
KEPT_PREVIEW_BYTES = 2_000_000
JPEG = "image/jpeg"
# Beside each preview's bytes, under its number, a field of this name and the number holds its facts.
FACTS = "facts:"


class PreviewFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a preview besides its content.

    Parameters
    ----------
    number
        Names it within its task; rises with time.
    at
        Of when the picture is, UTC seconds since the epoch.
    progress
        The task's overall progress then, 0 to 100.
    media_type
        Of its content: ``"image/jpeg"``, ``"image/webp"``, ``"text/plain; charset=utf-8"``, or one of audio.
    size_bytes
        Of its content; ``bytes`` in JSON.
    width, height
        In pixels; ``None`` for what is no picture.
    """

    number: int
    at: Timestamp
    progress: float
    media_type: str = JPEG
    size_bytes: int = msgspec.field(name="bytes")
    width: int | None = None
    height: int | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A preview on its way into the store.

    Parameters
    ----------
    facts
        What is known of it.
    data
        Its content.
    dropped
        The numbers of older previews that leave the store with it.
    max_bytes
        What all previews of the task may take; beyond it, those of earlier attempts leave, oldest first.
    """

    facts: PreviewFacts
    data: bytes
    dropped: tuple[int, ...] = ()
    max_bytes: int = KEPT_PREVIEW_BYTES

    @property
    def number(self) -> int:
        """Names it within its task."""
        return self.facts.number

    @property
    def stored(self) -> StoredPreview:
        """What is read of it once it is stored."""
        return StoredPreview(data=self.data, media_type=self.facts.media_type)

    def after(self, older: Preview | None) -> Preview:
        """Take the place of an older one that was never stored: what left for it leaves for this one."""
        if older is None or not older.dropped:
            return self
        return replace(self, dropped=tuple(dict.fromkeys((*older.dropped, *self.dropped))))

    def arguments(self) -> tuple[Any, ...]:
        """Return what ``write.lua`` takes of it: number, content, and what becomes of the others."""
        kept = {
            "facts": encode_json(self.facts).decode(),
            "dropped": [str(number) for number in self.dropped],
            "max_bytes": self.max_bytes,
            "max_count": KEPT_PREVIEWS,
        }
        return self.number, self.data, msgspec.json.encode(kept)


class StoredPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A preview as it was read.

    Parameters
    ----------
    data
        Its content.
    media_type
        Of its content.
    """

    data: bytes
    media_type: str = JPEG


async def read(commands: Commands, task_id: str, number: int) -> StoredPreview | None:
    """Read a preview; ``None`` when it is not, or no longer, stored."""
    async with commands.client() as client:
        data, found = await client.hmget(keys.previews(task_id), str(number), f"{FACTS}{number}")
    if data is None:
        return None
    facts = _decode(found)
    return StoredPreview(data=bytes(data), media_type=facts.media_type if facts else JPEG)


async def listed(commands: Commands, task_id: str) -> list[PreviewFacts]:
    """Read what is known of a task's previews, oldest first."""
    key = keys.previews(task_id)
    async with commands.client() as client:
        names = [name for name in await client.hkeys(key) if name.startswith(FACTS.encode())]
        found = await client.hmget(key, names) if names else []
    known = [facts for facts in map(_decode, found) if facts is not None]
    return sorted(known, key=lambda facts: facts.number)


def _decode(data: bytes | None) -> PreviewFacts | None:
    """Read facts; ``None`` of none, and of what only a later version can read."""
    if data is None:
        return None
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError:
        return None


_DECODER = msgspec.json.Decoder(PreviewFacts, dec_hook=decode_timestamp)
