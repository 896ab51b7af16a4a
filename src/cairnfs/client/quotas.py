"""Quotas of folders: limits and usage. docs/QUOTAS.md. The next part of `Client` after `names`."""

from dataclasses import dataclass

from cairnfs.client.deadlines import timed
from cairnfs.client.names import Names
from cairnfs.errors import BadRequestError
from cairnfs.paths import AnyPath, parse_path, show
from cairnfs.tables import html_table
from cairnfs.units import format_size
from cairnfs.wire.quotas import ClearQuota, FolderQuota, GetQuotas, SetQuota


@dataclass(frozen=True, slots=True)
class Quota:
    """What a folder may hold, and holds. A limit that is None is none."""

    path: str
    used_files: int
    """Files, folders and symlinks below it. What is in the trash does not count."""
    used_bytes: int
    files: int | None
    """Hard: what would be more is refused with QuotaError."""
    size_bytes: int | None
    soft_files: int | None
    """More is allowed, and shown here and by `status`."""
    soft_bytes: int | None

    @property
    def is_full(self) -> bool:
        """True if a hard limit is reached."""
        return _above(self.used_files + 1, self.files) or _above(self.used_bytes + 1, self.size_bytes)

    @property
    def is_above_soft(self) -> bool:
        """True if a soft limit is exceeded."""
        return _above(self.used_files, self.soft_files) or _above(self.used_bytes, self.soft_bytes)

    def __repr__(self) -> str:
        of = "" if self.files is None else f"/{self.files}"
        of_bytes = "" if self.size_bytes is None else f"/{format_size(self.size_bytes)}"
        return f"<Quota {self.path!r} files={self.used_files}{of} size={format_size(self.used_bytes)}{of_bytes}>"

    def _repr_html_(self) -> str:
        row = self.path, self.used_files, self.files, format_size(self.used_bytes), self.size_bytes
        return html_table(("folder", "files", "at most", "size", "at most, bytes"), [row])


def _above(used: int, limit: int | None) -> bool:
    return limit is not None and used > limit


def _quota_of(found: FolderQuota) -> Quota:
    return Quota(
        path=show(found.path),
        used_files=found.used_files,
        used_bytes=found.used_bytes,
        files=found.files,
        size_bytes=found.size_bytes,
        soft_files=found.soft_files,
        soft_bytes=found.soft_bytes,
    )


@timed
class QuotaCalls(Names):
    """What a client can ask and change about quotas."""

    async def set_quota(
        self,
        path: AnyPath,
        *,
        files: int | None = None,
        size_bytes: int | None = None,
        soft_files: int | None = None,
        soft_bytes: int | None = None,
    ) -> Quota:
        """Set limits of a folder for all below it; None leaves one as it is. Return them with the usage.

        The first limit of a folder takes time in proportion to what is below it. A limit below the usage is taken: it
        stops growth.

        Raises:
            NotFoundError, NotFolderError: no such folder.
            BadRequestError: no limit at all, a negative one, or a soft one above the hard one.
        """
        limits = {"files": files, "size_bytes": size_bytes, "soft_files": soft_files, "soft_bytes": soft_bytes}
        for name, limit in limits.items():
            if limit is not None and not 0 <= limit < 1 << 63:
                raise BadRequestError(what=f"{name}={limit}: a limit is 0 or more")
        await self._core.connection.ready()
        limit_s = self._core.connection.config.data_timeout_s
        with self._once() as once:
            request = SetQuota(
                path=parse_path(path),
                files=files,
                size_bytes=size_bytes,
                soft_files=soft_files,
                soft_bytes=soft_bytes,
                once=once,
            )
            found = await self._core.connection.ask(request, timeout_s=limit_s)
        return _quota_of(found.quotas[0])

    async def clear_quota(self, path: AnyPath) -> None:
        """Take all limits of a folder away; nothing happens if it has none."""
        with self._once() as once:
            await self._ask(ClearQuota(path=parse_path(path), once=once))

    async def quota(self, path: AnyPath) -> Quota | None:
        """Return the limits and the usage of a folder; None if it has no limits of its own."""
        found = (await self._ask(GetQuotas(path=parse_path(path)))).quotas
        real = (await self._status(path)).path
        return next((_quota_of(one) for one in found if one.path == real), None)

    async def quotas(self, path: AnyPath | None = None) -> list[Quota]:
        """Return those that hold for what is at `path`, its own first, then those of folders above; None: all."""
        if path is not None:
            return [_quota_of(one) for one in (await self._ask(GetQuotas(path=parse_path(path)))).quotas]
        found: list[Quota] = []
        after = 0
        while True:  # ends with the last page
            page = await self._ask(GetQuotas(after=after))
            found += [_quota_of(one) for one in page.quotas]
            if not page.more or not page.quotas:
                return sorted(found, key=lambda one: one.path)
            after = page.quotas[-1].inode
