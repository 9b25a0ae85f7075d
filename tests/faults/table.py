"""The rows of the table in `docs/reliability.md`: what was tried, and what was survived."""

from dataclasses import dataclass, field


@dataclass
class Row:
    """The result of one kind of fault on one operation."""

    operation: str  # a command, such as `prepare`, or a kind of file, such as `.pts`
    fault: str  # such as SIGKILL, "disk full" or "mutated bytes"
    tried: int = 0
    failures: list[str] = field(default_factory=list)  # one line each, enough to repeat it

    @property
    def survived(self) -> int:
        return self.tried - len(self.failures)

    def count(self, failure: str | None):
        """Add one trial, which failed if a description of the failure is given."""
        self.tried += 1
        if failure:
            self.failures.append(failure)
