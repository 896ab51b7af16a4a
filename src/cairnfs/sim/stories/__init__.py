"""STORIES for people: a directed scene of the simulator told as a time line, with every guard and without one.

    table.STORIES ─▶ story.play ─▶ Told ─▶ text.render        `cairn sim story`, docs/STORIES.md

A story is `async def scene(stage, cast)`: it lets people of the `cast` read and write, breaks things, and tells what it
does; the `narrator` keeps the time line, `watching` adds what the roles did by themselves, and what is seen to break a
promise goes into the verdict. With every guard on no story breaks one; without a guard of its list each does.
"""
