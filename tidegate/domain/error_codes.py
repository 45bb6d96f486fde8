"""The catalogue of error codes: what each means, what usually causes it, what to do.

A code is for ever: one that is not used any more is marked as retired and stays, so that it never gets a second meaning.
`docs/errors.md` is made from this; tests hold that it names every code in the source, and nothing else.

TG-0xxx defects           TG-1xxx try again         TG-2xxx repeating cannot help    TG-3xxx a person must look
TG-x1xx the ledger        TG-x2xx RunPod
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCode:
    code: str
    name: str
    """The class that has it, or, for a code of single places, what it is called."""
    meaning: str
    cause: str
    action: str
    is_retired: bool = False


CATALOGUE: tuple[ErrorCode, ...] = (
    ErrorCode(
        "TG-0000",
        "TidegateError",
        "Something that nobody foresaw: an exception that is none of Tidegate's own.",
        "A defect of Tidegate, or of a library that it uses.",
        "Report it with the traceback of the log that the message names. `tidegate errors show` tells where it was "
        "raised, and how often.",
    ),
    ErrorCode(
        "TG-1000",
        "Transient",
        "The same call may succeed later. Tasks try again by themselves; what is shown is the last try.",
        "Something that is needed was not ready: a set, a gateway, a worker, another process.",
        "Try again. When it lasts, look at what the message names: `tidegate status`, `tidegate doctor`, `tidegate logs`.",
    ),
    ErrorCode(
        "TG-1001",
        "CapacityShortage",
        "The platform has no room for another set now. The release is parked and costs nothing; the live set is "
        "untouched.",
        "No machine of the wanted kind is free, or the organization's limits allow too few kinds.",
        "Wait: it is tried again until the policy's deadline. Or allow more GPU types or data centres in the "
        "organization's limits.",
    ),
    ErrorCode(
        "TG-1100",
        "ledger busy",
        "The ledger's database is locked by somebody else for longer than a writer waits.",
        "A process holds a transaction open: one that was stopped in the middle of one, or a backup of the file.",
        "Try again. When it lasts, find that process and end it. With several hosts use PostgreSQL.",
    ),
    ErrorCode(
        "TG-1101",
        "ledger unreachable",
        "The ledger's database does not answer, or has no room.",
        "The server is down, the network is cut, the disk is full.",
        "Start the database or make room, then check TIDEGATE_LEDGER_URL. Gateways go on serving what they serve.",
    ),
    ErrorCode(
        "TG-1201",
        "NoCapacity",
        "RunPod has no machine of the wanted kind at the moment.",
        "Stock ran out in the data centres and GPU types that the organization allows.",
        "Wait for stock, or allow more GPU types or data centres.",
    ),
    ErrorCode(
        "TG-1202",
        "RateLimited",
        "RunPod refuses because it was asked too often. It is asked again after the time that it names.",
        "Many releases or looks at once with one account.",
        "Wait. When it lasts, release fewer services at once, or use one account for each organization.",
    ),
    ErrorCode(
        "TG-1203",
        "ServerTrouble",
        "RunPod failed. A request that changes something may have taken effect; the next step looks before it asks again.",
        "Trouble at RunPod.",
        "Wait; see https://uptime.runpod.io.",
    ),
    ErrorCode(
        "TG-1204",
        "Unreachable",
        "RunPod was not reached: nothing happened there.",
        "No network, no name service, or a firewall.",
        "Check the way from this host to the address in TIDEGATE_RUNPOD_API_URL.",
    ),
    ErrorCode(
        "TG-1205",
        "LostReply",
        "A request was sent to RunPod and no answer came: it may have taken effect.",
        "The connection broke, or RunPod was too slow.",
        "Nothing: the next step finds by name what was made. When it lasts, treat it as TG-1204.",
    ),
    ErrorCode(
        "TG-1206",
        "BadReply",
        "RunPod said yes in a form that cannot be read: the request may have taken effect.",
        "A proxy in between, or a change of RunPod's API.",
        "Check for a proxy; look for a newer version of Tidegate.",
    ),
    ErrorCode(
        "TG-1207",
        "NoWorker",
        "A load-balancing endpoint has no worker that could answer.",
        "All workers are still starting, or crash at their start.",
        "Look at the set's workers with `tidegate logs`; raise its smallest number of workers if it must never be cold.",
    ),
    ErrorCode(
        "TG-2000",
        "Permanent",
        "Repeating the same call cannot help.",
        "What the message names.",
        "Do what the message says. Nothing was changed where it does not say so.",
    ),
    ErrorCode(
        "TG-2001",
        "InvalidInput",
        "A field of a request, a policy or a file is wrong. The message names it, and `field` in JSON.",
        "A typing error, or a file of another version.",
        "Correct the field. `tidegate policy check` checks policies before they count.",
    ),
    ErrorCode(
        "TG-2002",
        "NotFound",
        "The named organization, service, version, set, gateway or release does not exist here.",
        "A typing error, or another home: TIDEGATE_HOME and TIDEGATE_LEDGER_URL say which installation is asked.",
        "List what exists; the message names the command.",
    ),
    ErrorCode(
        "TG-2003",
        "Refused",
        "A policy, a role, a budget, a hold or a quarantine forbids the action. Nothing was done.",
        "The rule that the message names.",
        "Ask somebody who may, or change the rule first. `tidegate audit list` tells who set a hold or a quarantine.",
    ),
    ErrorCode(
        "TG-2004",
        "Fenced",
        "Another owner drives the service now; what this process still wanted to write was refused (S6).",
        "The process was silent for so long that reconcile took its release over, or two were started at once.",
        "Nothing: the other owner goes on. When it comes again and again, look for hosts that stand still for seconds.",
    ),
    ErrorCode(
        "TG-2005",
        "Unauthorized (console)",
        "A caller of the HTTP API did not prove that it may call at all.",
        "No bearer token, an old one, or the token of the other door.",
        "Send the token of `tidegate keys console`, or, for the alert webhook, of `tidegate keys alerts`.",
    ),
    ErrorCode(
        "TG-2006",
        "NaiveTime",
        "A time without a zone was about to be stored.",
        "A defect of the caller.",
        "Pass an aware time; report it when it came from a command.",
    ),
    ErrorCode(
        "TG-2100",
        "ledger statement refused",
        "The ledger's database refused a statement.",
        "A defect of Tidegate, a schema that was changed by hand, or an attempt to change the audit log.",
        "Report it with the message. Entries of the audit log are never changed or removed: see docs/audit.md.",
    ),
    ErrorCode(
        "TG-2201",
        "BadRequest",
        "A rule of RunPod's business forbids the request.",
        "What RunPod names: a limit of the account, a name that is taken, a size that is not offered.",
        "Correct what it names in the organization's file.",
    ),
    ErrorCode(
        "TG-2202",
        "Unprocessable",
        "The request breaks RunPod's schema.",
        "A fault of Tidegate, or a change of RunPod's API.",
        "Report it with the message.",
    ),
    ErrorCode(
        "TG-2203",
        "Missing",
        "RunPod knows no such thing, or it belongs to another account.",
        "It was deleted by hand, or the organization's key was replaced by that of another account.",
        "Look at RunPod's console; reconcile makes anew what a service needs.",
    ),
    ErrorCode(
        "TG-2204",
        "Unauthorized",
        "RunPod does not know the key.",
        "The key was revoked, or the secret holds something else.",
        "Store a present key in the secret that the message names.",
    ),
    ErrorCode(
        "TG-2205",
        "Forbidden",
        "The RunPod key lacks a permission.",
        "A restricted key.",
        "Give it the permission that the message names, or use another key.",
    ),
    ErrorCode(
        "TG-2206",
        "BalanceTooLow",
        "The RunPod account has no money for it.",
        "The balance or the account's spend limit is used up.",
        "Add credit, or raise the limit.",
    ),
    ErrorCode(
        "TG-2207",
        "Conflict",
        "The thing at RunPod is in a state that does not allow the action.",
        "It is being changed by somebody else at this moment.",
        "Wait until it is done; reconcile tries again.",
    ),
    ErrorCode(
        "TG-2208",
        "Retired",
        "This generation of RunPod's API is switched off.",
        "TIDEGATE_RUNPOD_API_URL points at the old API, or Tidegate is too old.",
        "Point it at the host of REST v2, or update Tidegate.",
    ),
    ErrorCode(
        "TG-2209",
        "Unexpected",
        "An answer that RunPod does not document.",
        "A change of its API.",
        "Look for a newer version of Tidegate; report the message.",
    ),
    ErrorCode(
        "TG-3000",
        "NeedsOperator",
        "Going on by itself could do harm: a person must decide.",
        "Something is not set up, or the world is not what any rule was made for.",
        "Do what the message says; until then nothing else happens.",
    ),
    ErrorCode(
        "TG-3100",
        "ledger unusable",
        "The ledger's database cannot be used as it is.",
        "Wrong permissions or credentials, a damaged file, a folder that cannot be made.",
        "Check permissions and credentials; restore a damaged file from a backup.",
    ),
    ErrorCode(
        "TG-3101",
        "driver missing",
        "PostgreSQL needs a driver that is not installed.",
        "Tidegate was installed without the extra `postgres`.",
        "Install `tidegate[postgres]`.",
    ),
    ErrorCode(
        "TG-3102",
        "ledger of a newer version",
        "The ledger has a schema that this Tidegate does not know.",
        "It was opened by a newer version: another host was updated first.",
        "Install that version, or a newer one. Nothing was changed.",
    ),
    ErrorCode(
        "TG-3110",
        "audit log broken",
        "An entry of the audit log is not as it was written, so that nothing is exported.",
        "Somebody changed the database by hand and switched its triggers off, or a backup was put together wrongly.",
        "Keep the ledger as it is, and see docs/audit.md: what to do when the log is broken.",
    ),
)
CODES = {entry.code: entry for entry in CATALOGUE}
