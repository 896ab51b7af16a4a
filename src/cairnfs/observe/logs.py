"""How log lines look: text for people, one JSON object a line for machines. Standard logging; nothing is sent anywhere.

2026-01-31T12:00:00.123+0000 INFO  cairnfs.master.leases lease granted chunk=000000000000002a server=7
{"time": "2026-01-31T12:00:00.123+0000", "level": "INFO", "logger": "cairnfs.master.leases", "message": "..."}

Times are local, with their zone.
"""

import json
import logging
import sys
from enum import StrEnum
from typing import TextIO

_SECONDS = "%Y-%m-%dT%H:%M:%S"
_ZONE = "%z"


class LogFormat(StrEnum):
    """What a line of the log is."""

    TEXT = "text"
    JSON = "json"


class _Formatter(logging.Formatter):
    def moment(self, record: logging.LogRecord) -> str:
        """Return local time with its zone, so that logs of machines in several zones can be merged."""
        zone = self.formatTime(record, _ZONE)
        return f"{self.formatTime(record, _SECONDS)}.{int(record.msecs):03d}{zone}"


class TextFormatter(_Formatter):
    """time, level, logger and message; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.moment(record)} {record.levelname:<7} {record.name} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(_Formatter):
    """One JSON object a line, whatever the message contains."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def start_logging(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Send the log of this process to `stream` (stderr). Replaces what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
