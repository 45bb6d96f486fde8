"""Reads secrets that are kept in Prefect's own blocks, for references of the form `prefect-secret:NAME`."""

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from tidegate.domain import InvalidInput, Secret, Transient

BLOCK_TYPE = "secret"


def read_block(name: str) -> Secret | None:
    """The value of a Secret block, or None when there is no block of that name.

    Not through the block class: its `get` reads texts as JSON, so that a key of digits would be a number.

    Raises: InvalidInput for a block that holds no text, Transient when Prefect does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            document = client.read_block_document_by_name(name, BLOCK_TYPE, include_secrets=True)
    except ObjectNotFound:
        return None
    except (PrefectHTTPStatusError, httpx.HTTPError) as error:
        raise Transient(
            f"Prefect could not be asked for the secret '{name}' ({type(error).__name__}).",
            remedy="See: tidegate doctor.",
        ) from error
    value = document.data.get("value")
    if not isinstance(value, str) or not value:
        raise InvalidInput(
            f"The Prefect block '{name}' holds no text.", remedy="Save the bare key in it.", field="reference"
        )
    return Secret(value)
