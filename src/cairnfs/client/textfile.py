"""An open file of str over one of bytes, with await. The blocking client uses Python's own."""

import codecs
import io
from collections.abc import AsyncIterator
from types import TracebackType

from cairnfs.client.file import File
from cairnfs.limits import PIECE_BYTES

_STEP = PIECE_BYTES // 4


class TextFile:
    """Text in order: read, readline, lines, write. Made by `Client.open_text`; `seek` knows only start and end."""

    def __init__(self, file: File, *, encoding: str, errors: str, newline: str | None) -> None:
        self.buffer = file
        self.encoding = encoding
        self._errors = errors
        self._newline = newline
        self._reset()

    def __repr__(self) -> str:
        state = "closed" if self.buffer.closed else "open"
        return f"<cairnfs.TextFile {self.buffer.name!r} mode={self.buffer.mode!r} encoding={self.encoding!r} {state}>"

    def _reset(self) -> None:
        decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder(self.encoding)(self._errors)
        if self._newline is None or self._newline == "":
            self._decoder: codecs.IncrementalDecoder | io.IncrementalNewlineDecoder = io.IncrementalNewlineDecoder(
                decoder, translate=self._newline is None
            )
        else:
            self._decoder = decoder
        self._rest = ""
        self._is_at_end = False

    async def __aenter__(self) -> "TextFile":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def read(self, size: int = -1) -> str:
        """Return up to `size` characters; all if negative."""
        while not self._is_at_end and (size < 0 or len(self._rest) < size):
            await self._fill(-1 if size < 0 else _STEP)
        count = len(self._rest) if size < 0 else size
        text, self._rest = self._rest[:count], self._rest[count:]
        self._is_at_end = False  # the file may grow: the next read asks again
        return text

    async def _fill(self, size: int) -> None:
        data = await self.buffer.read(size)
        self._is_at_end = size < 0 or len(data) < size
        self._rest += self._decoder.decode(data, self._is_at_end)

    async def readline(self) -> str:
        """Return the text up to and with the next newline; "" at the end."""
        end = self._newline or "\n"
        searched = 0
        while (found := self._rest.find(end, searched)) < 0 and not self._is_at_end:
            searched = max(0, len(self._rest) - len(end))
            await self._fill(_STEP)
        self._is_at_end = False
        count = len(self._rest) if found < 0 else found + len(end)
        line, self._rest = self._rest[:count], self._rest[count:]
        return line

    async def __aiter__(self) -> AsyncIterator[str]:
        while line := await self.readline():  # ends with the file
            yield line

    async def write(self, text: str) -> int:
        """Write text; return the number of characters. Newlines as Python's open has them on Linux."""
        if self._newline not in (None, "", "\n"):
            await self.buffer.write(text.replace("\n", self._newline or "\n").encode(self.encoding, self._errors))
        else:
            await self.buffer.write(text.encode(self.encoding, self._errors))
        return len(text)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go to the start (0) or the end (0, 2).

        Raises:
            io.UnsupportedOperation: anywhere else; bytes and characters differ.
        """
        if offset != 0:
            raise io.UnsupportedOperation("text can only seek to its start or end")
        self._reset()
        return await self.buffer.seek(0, whence)

    async def flush(self) -> None:
        await self.buffer.flush()

    async def sync(self) -> None:
        await self.buffer.sync()

    async def close(self) -> None:
        """Sync and end, as `File.close`."""
        await self.buffer.close()
