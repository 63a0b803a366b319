"""Previews: pictures of what has formed so far, made beside the task's thread.

The task's thread takes a reference or a small copy (`captures`, `arrays`, `audio`), one thread a process
(`encoder`) has it scaled and encoded when it is due (`slot`), and `generator` knows which previews of a task
are kept. Sending them is left to the reporter.
"""
