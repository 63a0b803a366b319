"""Previews: pictures of what has formed so far, made beside the task's thread.

The task's thread takes a reference or a small copy (`captures`, `arrays`, `audio`, `files`), one thread a
process (`encoder`) has it scaled and encoded when it is due (`slot`), and `generator` knows which previews of
a task are kept. Sending them is left to the reporter.
"""

from headway.worker.previews.encoder import PreviewEncoder
from headway.worker.previews.generator import PreviewGenerator
from headway.worker.previews.options import PreviewOptions
from headway.worker.previews.slot import PreviewSlot

__all__ = ["PreviewEncoder", "PreviewGenerator", "PreviewOptions", "PreviewSlot"]
