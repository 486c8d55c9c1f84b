"""When the numbers break."""

from core.errors import UserError


class EditFailure(UserError):
    """An edit that could not be computed: names the fact, the layer and what to change."""
