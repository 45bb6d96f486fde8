"""Flow: copy the ledger and the configuration, restore the copy as a test, and remove what is too old."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.forms import BackupForm
from tasks.make_backup import make_backup, restore_as_test
from tasks.policies import FLOW
from tasks.publish_summary import publish_summary


@flow(name="backup", flow_run_name="backup", **FLOW)
def backup(request: BackupForm | None = None) -> State[None]:
    """Secrets are never in it: only a person who holds the passphrase makes those, by `tidegate backup create`."""
    asked = request or BackupForm()
    made = make_backup(asked.keep, asked.keep_days)
    tried = restore_as_test(made.name) if asked.verify else None
    publish_summary("backup", made.markdown(tried), "Backup of the ledger")
    if tried is not None and tried.problems:
        return Failed(name="NotWhole", message="; ".join(tried.problems))
    return Completed(message=f"{made.name}, {'restored as a test' if tried else 'not restored as a test'}")
