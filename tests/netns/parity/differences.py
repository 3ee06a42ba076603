"""The table of known differences: docs/parity.md shows it to people, and tests hold us to it."""

from tests.netns.parity import (
    differences_codes,
    differences_made,
    differences_protocol,
    differences_refused,
)
from tests.netns.parity.known import Known

KNOWN: tuple[Known, ...] = (
    *differences_protocol.KNOWN,
    *differences_made.KNOWN,
    *differences_refused.KNOWN,
    *differences_codes.KNOWN,
)
