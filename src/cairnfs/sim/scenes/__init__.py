"""DIRECTED SCENES: a chosen fault at a chosen moment, where chance would need many seeds to meet it.

`guards` has one scene per safeguard (told in `orders`, `raises`, `reads`, `keeping`, `disks`, `belonging`), `tales`
single faults on the whole cluster, `found` what simulations found once. A scene is `async def scene(stage)` and says
what it saw by failing an assertion; `stage.Stage` plays it.
"""
