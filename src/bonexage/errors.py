"""The errors a person can act on: each says what is wrong, with which file, and what to do."""

from __future__ import annotations

from typing import Final

from bonexage.terminal import printable, printable_lines

INSTALL_WITH: Final = "Install them with: "
"""What a remedy begins with that ends in a command."""


class BonexageError(Exception):
    """Base of every error this package raises on purpose.

    Attributes:
        exit_code: what the command line exits with (2 wrong use, 3 unusable input).
        problem: what is wrong, one sentence without a full stop.
        remedy: what to do about it, one sentence without a full stop.
        subject: the file, folder or option it is about, or None.
    """

    exit_code = 2

    def __init__(self, problem: str, *, remedy: str, subject: str | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        self.subject = subject
        super().__init__(problem, remedy, subject)

    def __str__(self) -> str:
        said = printable_lines(self.sentence)
        return f"{printable(self.subject)}: {said}" if self.subject else said

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, without the subject."""
        command = self.remedy.startswith(INSTALL_WITH)  # a full stop would become a part of it
        return f"{self.problem}. {self.remedy}{'' if command or self.remedy.endswith('?') else '.'}"

    def about(self, subject: str) -> BonexageError:
        """The same error about another subject."""
        return _rebuilt(type(self), self.problem, self.remedy, subject)

    def with_remedy(self, remedy: str) -> BonexageError:
        """The same error with another thing to do."""
        return _rebuilt(type(self), self.problem, remedy, self.subject)

    def __reduce__(self) -> tuple[object, ...]:
        """How it travels from the process it happened in to the one that tells the user."""
        return _rebuilt, (type(self), self.problem, self.remedy, self.subject)


def _rebuilt(kind: type[BonexageError], problem: str, remedy: str, subject: str | None) -> BonexageError:
    error = kind.__new__(kind)
    BonexageError.__init__(error, problem, remedy=remedy, subject=subject)
    return error


class WrongUse(BonexageError):
    """An option, argument, recipe or labels file that cannot be obeyed."""


class MissingExtra(BonexageError):
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            remedy=how_to_install(extra),
        )


def how_to_install(extra: str) -> str:
    """The remedy that names the command by which the packages of an extra are installed here."""
    from bonexage.extras import install_command

    return f"{INSTALL_WITH}{install_command(extra)}"


class BundleError(BonexageError):
    """A model bundle that is missing, damaged, or of a schema this version does not read."""


class UnreadableFile(BonexageError):
    """A file from which no radiograph can be read."""

    exit_code = 3


class TooManyPixels(UnreadableFile):
    """A picture of more pixels than may be read."""


class UnusableData(BonexageError):
    """A data folder from which training or evaluation cannot start."""

    exit_code = 3


class RefusedRadiograph(BonexageError):
    """A readable picture for which a bone age must not be given."""

    exit_code = 3


class ConflictingFilm(BonexageError):
    """A film under the SOP Instance UID of another one that is known already."""

    exit_code = 3


class ServiceError(BonexageError):
    """A service that cannot be reached, does not let one in, or has failed."""


class TrainingStopped(BonexageError):
    """A training run that stopped itself; what it had reached is kept on disk."""

    exit_code = 3


class ClusterStopped(BonexageError):
    """Reading on a cluster that ended before all films were read; what was read is kept."""

    exit_code = 3
