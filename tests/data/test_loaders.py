"""Training-style loaders: a data set object that worker processes share out among themselves, by fork and by spawn.

This is how `torch.utils.data.DataLoader` works: the object is used in the parent first (for its length), then inherited
(fork) or pickled (spawn) into the workers, each of which reads single samples in random order.
"""

import os
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

SAMPLE = 1_000
SAMPLES = 200


class Samples:
    """Samples of equal size in a few files; opened when first used, and kept open."""

    def __init__(self, fs, folder):
        self.fs = fs
        self.files = fs.glob(f"{folder}/*.bin")
        self.each = [fs.size(file) // SAMPLE for file in self.files]
        self.open = {}

    def __len__(self):
        return sum(self.each)

    def __getitem__(self, number):
        index = 0
        while number >= self.each[index]:
            number -= self.each[index]
            index += 1
        if index not in self.open:
            self.open[index] = self.fs.open(self.files[index], "rb", cache_type="none")
        self.open[index].seek(number * SAMPLE)
        return self.open[index].read(SAMPLE)

    def __getstate__(self):
        return {**self.__dict__, "open": {}}


_samples = None


def use(samples):
    global _samples  # as a loader's worker does
    _samples = samples


def fetch(numbers):
    return os.getpid(), [(number, _samples[number]) for number in numbers]


def content(number):
    return bytes([number % 251]) * SAMPLE


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_every_sample_once(fs, root, method):
    for part in range(4):
        numbers = range(part * SAMPLES // 4, (part + 1) * SAMPLES // 4)
        fs.pipe_file(f"{root}/{part}.bin", b"".join(content(number) for number in numbers))
    samples = Samples(fs, root)
    assert len(samples) == SAMPLES
    assert samples[3] == content(3)  # the parent has a connection and an open file when the workers begin
    order = list(range(SAMPLES))
    random.Random(1).shuffle(order)
    batches = [order[first : first + 20] for first in range(0, SAMPLES, 20)]
    with ProcessPoolExecutor(2, get_context(method), initializer=use, initargs=(samples,)) as pool:
        results = list(pool.map(fetch, batches))
    found = dict(pair for _, pairs in results for pair in pairs)
    assert found == {number: content(number) for number in range(SAMPLES)}
    assert os.getpid() not in {process for process, _ in results}
    assert samples[7] == content(7)  # and its own file is what it was
