"""MANY SERVERS TOGETHER: `in_process` (cairnfs.local), `processes` (cairn up, demo, tests, benchmarks), `demo`."""
