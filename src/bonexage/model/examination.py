"""What one look at one film gives: the outcome as it is shown, and the bytes that were looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

from bonexage.assessment import Assessment, Failure
from bonexage.radiograph import Radiograph
from bonexage.reading.files import decode_film_bytes, identity_in
from bonexage.reading.identity import FilmIdentity


@dataclass(frozen=True)
class Source:
    """The bytes of a film, fetched once: whatever is made of the film is made of them.

    Attributes:
        name: the path or address that they were fetched from, for errors; nothing is opened by it again.
        data: the whole file.
        page: the page or frame of a file with several, counted from 1; None for its only one.
    """

    name: str
    data: bytes = field(repr=False)
    page: int | None = None

    def radiograph(self) -> Radiograph:
        """The film; raises as `bonexage.reading.files.decode_film_bytes` does."""
        return decode_film_bytes(self.data, self.name, page=self.page)

    def identity(self) -> FilmIdentity | None:
        """Whose film it is, as `bonexage.reading.files.identity_in` says and raises."""
        return identity_in(self.data, self.name)


@dataclass(frozen=True, eq=False)
class Examination:
    """A film's outcome and what it was read from.

    Attributes:
        outcome: the assessment, or why there is none; its `file` is what the film is called where it is
            shown, and may be a made-up name.
        source: what was looked at; None where the film's bytes could not be fetched or were not kept.
    """

    outcome: Assessment | Failure
    source: Source | None = None
